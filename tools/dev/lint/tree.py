"""The files that lint looks at, read once."""
import functools
import subprocess

from shell import ROOT

TEXT = ('.h', '.cc', '.py', '.md', '.txt', '.cmake', '.json', '.proto', '.sh', '.toml', '.yml', '')


@functools.cache
def files():
    """Paths, relative to the root, of all files that are tracked or about to be (not ignored)."""
    listed = subprocess.run(['git', 'ls-files', '-z', '--cached', '--others', '--exclude-standard'],
                            cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return sorted(path for path in set(listed.split('\0')) if path and (ROOT / path).is_file())


@functools.cache
def text(path):
    """A file's text; empty if it is no text or is not there."""
    try:
        return (ROOT / path).read_text()
    except (UnicodeDecodeError, FileNotFoundError):
        return ''


def lines(path):
    """(number, line) of a file."""
    return enumerate(text(path).splitlines(), 1)


def sources():
    """C++ files of ours."""
    return [path for path in files() if path.endswith(('.h', '.cc'))]


def is_test(path):
    """Whether the file is a unit test, a fuzzer or a micro-benchmark."""
    return path.endswith(('_test.cc', '_fuzz.cc', '_bench.cc'))
