"""Runs the tests of the command line: python3 tests/cli/run.py [PATTERN]. POLIS_BINARY names another binary than the release build."""
import pathlib
import sys
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / 'harness'), str(HERE)]


def main():
    """Runs all cases whose name contains the pattern; closes with the count."""
    loader = unittest.TestLoader()
    if sys.argv[1:]:
        loader.testNamePatterns = [f'*{sys.argv[1]}*']
    result = unittest.TextTestRunner(stream=sys.stdout, verbosity=2).run(loader.discover(str(HERE), pattern='*_test.py'))
    bad = [str(test) for test, _ in result.failures + result.errors + result.skipped]
    for name in bad:
        print(f'FAILED cli/{name}')
    passed = result.testsRun - len(bad)
    if not result.testsRun:
        bad.append('nothing ran')
    print(f'{max(passed, 0)} passed, {len(bad)} failed')
    return 1 if bad else 0


if __name__ == '__main__':
    sys.exit(main())
