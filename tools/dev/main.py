"""The commands of ./x: one function a command, whose docstring is its help."""
import argparse
import inspect
import os
import subprocess
import sys

import build as builds
import cluster
from packages import groups, install
from programs import Count, run_all
from shell import BUILD, PLAIN, RED, ROOT, Failure, Stopwatch, cores, run, say


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
    for suite, arguments in (('interop', ()), ('upgrade', ()), ('faults', ('--short',))):
        total.add(run_suite(suite, *arguments))
    say(f'All tests took {watch}')
    return total.conclude()


def run_suite(suite, *arguments):
    """Runs tests/<suite>/run.py against the release build; the count of its closing line."""
    say(f'Running tests/{suite}')
    process = subprocess.Popen(['/usr/bin/python3', '-s', ROOT / 'tests' / suite / 'run.py', *arguments], cwd=ROOT,
                               stdout=subprocess.PIPE, text=True)
    count, last = Count(), ''
    for line in process.stdout:
        print(line, end='', flush=True)
        if line.startswith('FAILED '):
            count.failed.append(f'{suite}: {line.split(None, 1)[1].strip()}')
        last = line.strip() or last
    status = process.wait()
    if last.endswith(' failed') and last.split()[0].isdigit():
        count.passed = int(last.split()[0])
    if status and not count.failed:
        count.failed.append(f'tests/{suite} (exit status {status})')
    return count


def interop(words):
    """Other projects' clients and servers against ours. [--only oracle|polis|differential] [CASE]"""
    install('build', 'test')
    builds.polis()
    return run_suite('interop', *words).conclude()


def faults(words):
    """Real processes, killed, stopped, cut off and starved, with a history checker. [--short] [SCENARIO]"""
    install('build', 'test')
    builds.polis()
    return run_suite('faults', *words).conclude()


def night(words):
    """What takes longer: ThreadSanitizer, fuzzing, long simulation, clang-tidy, headers alone, all fault scenarios."""
    import lint.compilers
    install('build', 'test')
    total = Count()
    for step in (lambda: (builds.build('tsan'), run_all('tsan'))[1],
                 lambda: fuzz_all(seconds=600), lambda: simulate(1, 200000),
                 lambda: run_suite('interop'), lambda: run_suite('faults')):
        try:
            total.add(step())
        except Failure as failure:
            report(failure)
            total.failed.append(failure.what)
    builds.build('debug')
    total.add(run_checks([lint.compilers.check_headers, lint.compilers.check_tidy]))
    return total.conclude()


def sim(words):
    """Random schedules of whole groups on virtual time. [--seeds N] [--first N]; --seed N replays one and tells its story"""
    parser = argparse.ArgumentParser('./x sim')
    parser.add_argument('--seeds', type=int, default=3000)
    parser.add_argument('--first', type=int, default=1)
    parser.add_argument('--seed', type=int)
    options = parser.parse_args(words)
    install('build', 'test')
    return simulate(options.first, options.seeds, options.seed).conclude()


def simulate(first, seeds, seed=None):
    """Runs the test programs that take seeds (those whose source reads POLIS_SEEDS), a share of the seeds on each core."""
    sources = [path for path in sorted((ROOT / 'src').rglob('*_test.cc')) if 'POLIS_SEEDS' in path.read_text()]
    units = sorted({str(path.parent.relative_to(ROOT / 'src')).replace('/', '_') for path in sources})
    builds.build('release', [f'{unit}_test' for unit in units])
    count, running, share = Count(), [], -(-seeds // cores())
    for unit in units:
        ranges = [first] if seed is not None else range(first, first + seeds, share)
        for begin in ranges:
            environment = {'POLIS_SEED': str(seed)} if seed is not None else {
                'POLIS_FIRST_SEED': str(begin), 'POLIS_SEEDS': str(min(share, first + seeds - begin))}
            running.append((f'{unit} from seed {begin}', subprocess.Popen(
                [BUILD / 'release' / f'{unit}_test'], env={**os.environ, **environment}, stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT, text=True)))
    for name, process in running:
        out, _ = process.communicate()
        if process.returncode:
            print(out[-20000:])
            count.failed.append(f'sim: {name}')
        else:
            count.passed += 1
    return count


def fuzz(words):
    """Fuzz each target, or one, for SECONDS each (60); new inputs go to build/corpus. [TARGET] [SECONDS]"""
    install('build', 'test')
    seconds = int(words.pop()) if words and words[-1].isdigit() else 60
    return fuzz_all(seconds, words[0] if words else '').conclude()


def fuzz_all(seconds, pattern=''):
    """Runs libFuzzer on each target of the asan build; a crash is a failed case and its input is kept."""
    builds.build('asan')
    count = Count()
    for source in sorted((ROOT / 'src').rglob('*_fuzz.cc')):
        name = source.stem
        if pattern not in name:
            continue
        found, seeds = BUILD / 'corpus' / name, ROOT / 'tests/corpus' / name.removesuffix('_fuzz')
        found.mkdir(parents=True, exist_ok=True)
        say(f'Fuzzing {name} for {seconds} s')
        done = subprocess.run([BUILD / 'asan' / name, f'-max_total_time={seconds}', '-print_final_stats=1', '-timeout=10',
                               f'-artifact_prefix={found}/', found, seeds], cwd=ROOT)
        if done.returncode:
            count.failed.append(f'{name}: the input is kept in {found}; add it to {seeds} with its mend')
        else:
            count.passed += 1
    if not count.passed and not count.failed:
        raise Failure(f'no fuzz target matches {pattern!r}', 'Targets are the *_fuzz.cc files below src/.')
    return count


def run_checks(checks):
    """Runs lint checks; prints what each finds."""
    count = Count()
    for check in checks:
        faults_found = check()
        name = check.__name__.removeprefix('check_').replace('_', ' ')
        for fault in faults_found:
            print(f'{RED}{name}{PLAIN} {fault}')
        if faults_found:
            count.failed.append(f'lint: {name}, {len(faults_found)} found')
        else:
            count.passed += 1
    return count


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
            'interop': interop, 'faults': faults, 'sim': sim, 'fuzz': fuzz, 'bench': bench, 'night': night, 'setup': setup}


def usage():
    """Prints every command with its first line of help."""
    print('./x COMMAND [ARGUMENT...]\n')
    for name, command in COMMANDS.items():
        print(f'  {name:8} {inspect.getdoc(command).splitlines()[0]}')
    print('\nA fresh Debian 12 needs nothing but this script: each command installs what it needs (tools/packages.txt).')


def report(failure):
    """Prints a Failure."""
    print(f'{RED}x: {failure.what}{PLAIN}' + (f'\n   {failure.then}' if failure.then else ''), flush=True)


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
