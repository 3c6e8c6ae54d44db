"""Tests that take hours: ThreadSanitizer, fuzzing, long simulation, clang-tidy, headers alone. ./x night runs them one after the other."""
import os
import shutil
import subprocess

import build as builds
from programs import SANITIZER_OPTIONS, Count, run_all, run_checks, run_suite
from shell import BUILD, ROOT, Failure, Stopwatch, cores, report, say

NICENESS = 10  # Of the night: whoever works on the machine meanwhile comes first.
HANG_SECONDS = 120  # Of one fuzzed input, by the clock on the wall: a busy machine makes ten of them out of nothing.


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


def fuzz_all(seconds, pattern=''):
    """Runs libFuzzer on each target of the asan build; a crash is a failed case and its input is kept."""
    names = [source.stem for source in sorted((ROOT / 'src').rglob('*_fuzz.cc')) if pattern in source.stem]
    if not names:
        raise Failure(f'no fuzz target matches {pattern!r}', 'Targets are the *_fuzz.cc files below src/.')
    builds.build('asan', names)
    count = Count()
    for name in names:
        found, seeds = BUILD / 'corpus' / name, ROOT / 'tests/corpus' / name.removesuffix('_fuzz')
        found.mkdir(parents=True, exist_ok=True)
        say(f'Fuzzing {name} for {seconds} s')
        done = subprocess.run([BUILD / 'asan' / name, f'-max_total_time={seconds}', '-print_final_stats=1', f'-timeout={HANG_SECONDS}',
                               f'-artifact_prefix={found}/', found, seeds], cwd=ROOT, env={**os.environ, **SANITIZER_OPTIONS})
        if done.returncode:
            count.failed.append(f'{name}: the input is kept in {found}; add it to {seeds} with its mend')
        else:
            count.passed += 1
    return count


def thread_sanitizer(_):
    """All test programs, and the server under the battery of clients, built with ThreadSanitizer: a race ends the program."""
    builds.build('tsan')
    count = run_all('tsan')
    races = BUILD / 'tsan/results/races'  # Of nodes, whose logs go with their folders.
    shutil.rmtree(races, ignore_errors=True)
    races.mkdir(parents=True)
    options = f'{SANITIZER_OPTIONS["TSAN_OPTIONS"]}:log_path={races}/node'
    count.add(run_suite('interop', '--only', 'battery', environment={'POLIS_BINARY': str(BUILD / 'tsan/polis'), 'TSAN_OPTIONS': options}))
    for report_file in sorted(races.iterdir()):
        print(f'---- {report_file}\n{report_file.read_text(errors="replace")}', flush=True)
        count.failed.append(f'tsan: {report_file.relative_to(ROOT)}')
    return count


def configured(preset):
    """Makes what compilers need of a preset to look at its files: flags, and the sources that protoc writes."""
    protos = [path.relative_to(ROOT / 'src').with_suffix('.pb.h') for path in sorted((ROOT / 'src').rglob('*.proto'))]
    builds.build(preset, [f'proto/{proto}' for proto in protos])


def headers_alone(_):
    """Each header compiles by itself."""
    from lint.compilers import check_headers
    configured('debug')
    return run_checks([check_headers])


def tidy(_):
    """clang-tidy over all sources that are not tests."""
    from lint.compilers import check_tidy
    configured('asan')
    return run_checks([check_tidy])


def server_suite(suite):
    """A part that runs a suite against the release build."""
    def run(_):
        builds.polis()
        return run_suite(suite)
    return run


PARTS = {'tsan': thread_sanitizer, 'fuzz': lambda options: fuzz_all(options.seconds), 'sim': lambda options: simulate(1, options.seeds),
         'interop': server_suite('interop'), 'upgrade': server_suite('upgrade'), 'faults': server_suite('faults'),
         'headers': headers_alone, 'tidy': tidy}


def night(options):
    """Runs the named parts, or all, one after the other; what fails in one does not stop the next."""
    os.nice(NICENESS)
    total = Count()
    for name in options.parts or PARTS:
        watch = Stopwatch()
        try:
            total.add(PARTS[name](options))
        except Failure as failure:
            report(failure)
            total.failed.append(f'{name}: {failure.what}')
        say(f'night: {name} took {watch}')
    return total
