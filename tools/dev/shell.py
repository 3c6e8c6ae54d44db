"""What all commands of ./x share: where the tree is, how they speak, how they start other programs."""
import os
import pathlib
import shlex
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = ROOT / 'build'
BOLD, RED, GREEN, PLAIN = ('\033[1m', '\033[31m', '\033[32m', '\033[0m') if sys.stdout.isatty() else ('',) * 4


class Failure(Exception):
    """Something a person must know: what failed, and what to do next."""

    def __init__(self, what, then=''):
        super().__init__(what)
        self.what, self.then = what, then


def say(text=''):
    """Prints a headline of what is being done."""
    print(f'{BOLD}{text}{PLAIN}', flush=True)


def report(failure):
    """Prints a Failure."""
    print(f'{RED}x: {failure.what}{PLAIN}' + (f'\n   {failure.then}' if failure.then else ''), flush=True)


def run(command, then='', quiet=False, **options):
    """Runs a program in the tree's root; raises Failure, which says `then` as the next step, if it fails.

    quiet: its output is shown only if it fails.
    """
    command = [str(word) for word in command]
    options.setdefault('cwd', ROOT)
    if quiet:
        options.update(stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        done = subprocess.run(command, **options)
    except FileNotFoundError:
        raise Failure(f'{command[0]} is not installed', then or './x setup test installs what the tree needs')
    if done.returncode:
        if quiet:
            print(done.stdout)
        raise Failure(f'{shlex.join(command)} ended with status {done.returncode}', then)
    return done


def output_of(command, **options):
    """Standard output of a program that must succeed."""
    options.setdefault('cwd', ROOT)
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, **options)
    if done.returncode:
        raise Failure(f'{shlex.join(map(str, command))} failed: {done.stderr.strip()}')
    return done.stdout


def cores():
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0))


class Stopwatch:
    """Seconds since it was made, for the closing lines of long steps."""

    def __init__(self):
        self.start = time.monotonic()

    def __str__(self):
        seconds = int(time.monotonic() - self.start)
        return f'{seconds // 60} min {seconds % 60} s' if seconds >= 60 else f'{seconds} s'
