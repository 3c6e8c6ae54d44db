"""Runs the interop suites: python3 tests/interop/run.py [--only SUITE] [--subject etcd|polis] [--verbose] [CASE]."""
import argparse
import pathlib
import sys
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / 'harness'), str(HERE / 'etcd')]


def battery(options):
    """Cases on both servers, compared line by line."""
    import battery as module
    return module.run(options.case, options.subject, options.verbose)


def oracle(options):
    """The cases on two etcd clusters: what differs then is a fault of the battery."""
    import battery as module
    return module.run(options.case, 'etcd', options.verbose)


def differential(options):
    """Random operations on both servers, compared octet by octet."""
    import differential as module
    return module.run(options.subject, options.seed, options.operations or module.OPERATIONS)


def dropin(options):
    """The launcher that is started as etcd."""
    import dropin_test
    suite = unittest.defaultTestLoader.loadTestsFromModule(dropin_test)
    result = unittest.TextTestRunner(stream=sys.stdout, verbosity=0).run(suite)
    bad = [str(test) for test, _ in result.failures + result.errors]
    return result.testsRun - len(bad), [f'dropin/{name}' for name in bad]


SUITES = {'dropin': dropin, 'battery': battery, 'differential': differential}
ON_REQUEST = {'oracle': oracle}


def main():
    """Runs the suites; closes with the count."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--only', choices=[*SUITES, *ON_REQUEST])
    parser.add_argument('--subject', default='polis', choices=['polis', 'etcd'])
    parser.add_argument('--verbose', action='store_true', help='print what the oracle answered')
    parser.add_argument('--seed', type=int, help='of the differential test')
    parser.add_argument('--operations', type=int, help='of the differential test')
    parser.add_argument('case', nargs='?', default='')
    options = parser.parse_args()
    chosen = [{**SUITES, **ON_REQUEST}[options.only]] if options.only else SUITES.values()
    passed, failed = 0, []
    for suite in chosen:
        good, bad = suite(options)
        passed, failed = passed + good, failed + bad
    for name in failed:
        print(f'FAILED {name}')
    if not passed and not failed:
        failed.append('nothing ran')
    print(f'{passed} passed, {len(failed)} failed')
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
