"""The commands of ./x: one function a command, whose docstring is its help."""
import argparse
import inspect
import os
import subprocess
import sys

import build as builds
import cluster
import long_tests
from packages import groups, install
from programs import Count, run_all, run_checks, run_suite
from shell import BUILD, ROOT, Failure, Stopwatch, report, run, say


def up(words):
    """Build, start three nodes on 127.0.0.1-3, print what to type next; Ctrl-C ends them. [--detach] [--fresh]"""
    parser = argparse.ArgumentParser('./x up')
    parser.add_argument('--detach', action='store_true', help='return when the cluster is ready; ./x down ends it')
    parser.add_argument('--fresh', action='store_true', help='forget the data of the last time')
    options = parser.parse_args(words)
    return cluster.up(options.detach, options.fresh)


def down(words):
    """End the cluster that ./x up started."""
    return cluster.down()


def setup(words):
    """Install the Debian packages of these groups of tools/packages.txt (all, if none is named). [GROUP...]"""
    unknown = set(words) - set(groups())
    if unknown:
        raise Failure(f'no group {" ".join(unknown)}', 'There are: ' + ' '.join(groups()))
    install(*(words or groups()))
    return 0


def build(words):
    """Build a preset: release (default), debug, asan, tsan. [PRESET] [TARGET...]"""
    preset, *targets = words or ['release']
    install('build', 'test')
    builds.build(preset, targets)
    return 0


def run_polis(words):
    """Build the server and run it with the arguments that follow. [ARGUMENT...]"""
    install('build')
    return subprocess.run([builds.polis(), *words], cwd=ROOT).returncode


def test(words):
    """All tests: g++ release, clang with ASan+UBSan, corpora, other projects' clients. [UNIT]: only that unit, debug."""
    watch = Stopwatch()
    install('build', 'test')
    total = Count()
    if words:
        unit = words[0].removeprefix('src/').replace('/', '_')
        builds.build('debug', [f'{unit}_test'])
        total.add(run_all('debug', unit))
        return total.conclude()
    for preset in ('release', 'asan'):
        try:
            builds.build(preset)
            total.add(run_all(preset))
        except Failure as failure:
            report(failure)
            total.failed.append(f'{preset}: {failure.what}')
    for suite, arguments in (('interop', ()), ('cli', ()), ('upgrade', ()), ('faults', ('--short',))):
        total.add(run_suite(suite, *arguments))
    say(f'All tests took {watch}')
    return total.conclude()


def interop(words):
    """Other projects' clients and servers against ours. [--only oracle|polis|differential] [CASE]"""
    install('build', 'test')
    builds.polis()
    return run_suite('interop', *words).conclude()


def cli(words):
    """The command line against real nodes: init, doctor, top, reload, backup, exit codes. [CASE]"""
    install('build', 'test')
    builds.polis()
    return run_suite('cli', *words).conclude()


def faults(words):
    """Real processes, killed, stopped, cut off and starved, with a history checker. [--short] [SCENARIO]"""
    install('build', 'test')
    builds.polis()
    return run_suite('faults', *words).conclude()


def night(words):
    """What takes longer, at low priority: tsan fuzz sim interop upgrade faults headers tidy; all, or those named. [--seconds N] [PART...]"""
    parser = argparse.ArgumentParser('./x night')
    parser.add_argument('--seconds', type=int, default=600, help='of fuzzing each target')
    parser.add_argument('--seeds', type=int, default=200_000, help='of the simulation')
    parser.add_argument('parts', nargs='*', metavar='PART', help=' '.join(long_tests.PARTS) + '; all, if none is named')
    options = parser.parse_args(words)
    if unknown := [part for part in options.parts if part not in long_tests.PARTS]:
        raise Failure(f'no part {" ".join(unknown)}', 'There are: ' + ' '.join(long_tests.PARTS))
    install('build', 'test')
    return long_tests.night(options).conclude()


def sim(words):
    """Random schedules of whole groups on virtual time. [--seeds N] [--first N]; --seed N replays one and tells its story"""
    parser = argparse.ArgumentParser('./x sim')
    parser.add_argument('--seeds', type=int, default=3000)
    parser.add_argument('--first', type=int, default=1)
    parser.add_argument('--seed', type=int)
    options = parser.parse_args(words)
    install('build', 'test')
    return long_tests.simulate(options.first, options.seeds, options.seed).conclude()


def fuzz(words):
    """Fuzz each target, or one, for SECONDS each (60); new inputs go to build/corpus. [TARGET] [SECONDS]"""
    install('build', 'test')
    seconds = int(words.pop()) if words and words[-1].isdigit() else 60
    return long_tests.fuzz_all(seconds, words[0] if words else '').conclude()


def lint_command(words):
    """Layers, bans, sizes, formatting, words, documents: what a program can check without compiling."""
    from lint import bans, compilers, documents, layers, sizes
    if not words:
        install('test')
    return run_checks([layers.check_layers, layers.check_includes, layers.check_header_cycles, bans.check_pure,
                       bans.check_code, bans.check_words, sizes.check_sizes, sizes.check_first_lines,
                       documents.check_map, documents.check_links, documents.check_packages, documents.check_options,
                       compilers.check_format]).conclude()


def fmt(words):
    """Format all C++ files with clang-format-19."""
    from lint.tree import sources
    install('test')
    run(['clang-format-19', '-i', *sources()])
    return 0


def bench(words):
    """etcd, failover or size: beside etcd, with tables (--help of each); micro [PATTERN]: the *_bench.cc programs."""
    kind, *rest = words or ['']
    install('build', 'test')
    if kind == 'micro':
        return bench_micro(rest)
    if kind not in ('etcd', 'failover', 'size'):
        raise Failure('what is to be measured?', './x bench etcd | failover | size | micro [PATTERN]')
    if rest[:1] not in (['-h'], ['--help']) and 'POLIS_BINARY' not in os.environ:
        builds.polis()
    return subprocess.run(['/usr/bin/python3', '-s', ROOT / 'bench' / f'{kind}.py', *rest], cwd=ROOT).returncode


def bench_micro(words):
    """Runs the micro-benchmarks of the release build whose name contains the word."""
    programs = [p for p in sorted((ROOT / 'src').rglob('*_bench.cc')) if not words or words[0] in p.stem]
    if not programs:
        raise Failure('no micro-benchmark matches', 'Micro-benchmarks are the *_bench.cc files below src/.')
    builds.build('release', [program.stem for program in programs])
    for program in programs:
        run([BUILD / 'release' / program.stem])
    return 0


COMMANDS = {'up': up, 'down': down, 'test': test, 'lint': lint_command, 'fmt': fmt, 'build': build, 'run': run_polis,
            'interop': interop, 'cli': cli, 'faults': faults, 'sim': sim, 'fuzz': fuzz, 'bench': bench, 'night': night, 'setup': setup}


def usage():
    """Prints every command with its first line of help."""
    print('./x COMMAND [ARGUMENT...]\n')
    for name, command in COMMANDS.items():
        print(f'  {name:8} {inspect.getdoc(command).splitlines()[0]}')
    print('\nA fresh Debian 12 needs nothing but this script: each command installs what it needs (tools/packages.txt).')


def main(words):
    """Runs one command; the exit status."""
    name, *rest = words or ['help']
    if name in ('help', '-h', '--help'):
        usage()
        return 0
    if name not in COMMANDS:
        usage()
        raise Failure(f'no command {name!r}', 'The list above has them all.')
    if rest[:1] in (['-h'], ['--help']) and name != 'run':
        print(inspect.getdoc(COMMANDS[name]))
        return 0
    return COMMANDS[name](rest)


if __name__ == '__main__':
    try:
        sys.exit(main(sys.argv[1:]))
    except Failure as error:
        report(error)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
