"""Runs test programs side by side and counts their cases one by one."""
import concurrent.futures
import dataclasses
import json
import os
import subprocess

from shell import BUILD, GREEN, PLAIN, RED, ROOT, Failure, cores, output_of, say

SECONDS_MAX = 900  # One test program; the longest takes a small part of it.

# Debian's protobuf and gRPC are not instrumented, so container-overflow reports about objects that cross into them are
# false. Everything else stays on.
SANITIZER_OPTIONS = {
    'ASAN_OPTIONS': 'detect_container_overflow=0:detect_stack_use_after_return=1:strict_string_checks=1',
    'UBSAN_OPTIONS': 'print_stacktrace=1',
    'TSAN_OPTIONS': f'halt_on_error=1:second_deadlock_stack=1:suppressions={ROOT}/tools/tsan_suppressions.txt',
}


@dataclasses.dataclass
class Count:
    """How many cases passed and which failed."""
    passed: int = 0
    failed: list = dataclasses.field(default_factory=list)

    def add(self, other):
        """Adds another count to this one."""
        self.passed += other.passed
        self.failed += other.failed

    def conclude(self):
        """Prints the failures and the closing line; returns the exit status."""
        for name in self.failed:
            print(f'{RED}FAILED{PLAIN} {name}')
        if not self.passed and not self.failed:
            self.failed.append('nothing ran')
        print(f'{self.passed} passed, {len(self.failed)} failed', flush=True)
        return 1 if self.failed else 0


def registered(folder):
    """The tests that CMake registered in a build folder: [(name, command)]."""
    listed = json.loads(output_of(['ctest', '--test-dir', folder, '--show-only=json-v1']))['tests']
    missing = [test['name'] for test in listed if 'command' not in test]
    if missing:
        raise Failure(f'not built: {" ".join(missing)}', 'Run ./x build first.')
    return [(test['name'], test['command']) for test in listed]


def cases_of(report, label):
    """The count of one gtest JSON report. A skipped or disabled case counts as failed: what lacks a privilege must say so."""
    count = Count()
    for suite in json.loads(report.read_text())['testsuites']:
        for case in suite['testsuite']:
            name = f'{label} {case["classname"]}.{case["name"]}'
            if case.get('failures'):
                count.failed.append(name)
            elif case['result'] != 'COMPLETED':
                count.failed.append(f'{name} ({case["result"].lower()})')
            else:
                count.passed += 1
    return count


def run_program(preset, name, command, environment):
    """Runs one test program; its output goes to a log, whose end is shown if it fails."""
    results = BUILD / preset / 'results'
    report, log = results / f'{name}.json', results / f'{name}.log'
    report.unlink(missing_ok=True)
    with open(log, 'w') as out:
        try:
            status = subprocess.run(command, stdout=out, stderr=subprocess.STDOUT, cwd=results, timeout=SECONDS_MAX,
                                    env={**os.environ, **SANITIZER_OPTIONS, **environment,
                                         'GTEST_OUTPUT': f'json:{report}'}).returncode
        except subprocess.TimeoutExpired:
            status = f'none after {SECONDS_MAX} s'
    label = f'{preset}/{name}'
    count = cases_of(report, label) if report.exists() else Count()
    if status != 0 and not count.failed:
        count.failed.append(f'{label} (exit status {status}; see {log})')
    elif status == 0 and not report.exists():
        count.passed += 1  # A corpus replay: one case a fuzz target.
    if count.failed:
        tail = log.read_text(errors='replace').splitlines()[-60:]
        print(f'---- {label}: end of {log}\n' + '\n'.join(tail), flush=True)
    return count


def run_all(preset, pattern='', environment=None):
    """Runs the test programs of a preset whose name contains `pattern`; as many at once as there are cores."""
    tests = [(name, command) for name, command in registered(BUILD / preset) if pattern in name]
    if not tests:
        raise Failure(f'no test program matches {pattern!r}', 'Units with tests: those with a *_test.cc in src/.')
    (BUILD / preset / 'results').mkdir(exist_ok=True)
    say(f'Running {len(tests)} test programs of {preset}')
    total = Count()
    with concurrent.futures.ThreadPoolExecutor(cores()) as pool:
        running = {pool.submit(run_program, preset, name, command, environment or {}): name for name, command in tests}
        for done in concurrent.futures.as_completed(running):
            count = done.result()
            colour = RED if count.failed else GREEN
            print(f'  {colour}{running[done]}{PLAIN}: {count.passed} passed, {len(count.failed)} failed', flush=True)
            total.add(count)
    return total


def run_suite(suite, *arguments, environment=None):
    """Runs tests/<suite>/run.py against the release build, or POLIS_BINARY; the count of its closing line."""
    say(f'Running tests/{suite}')
    process = subprocess.Popen(['/usr/bin/python3', '-s', ROOT / 'tests' / suite / 'run.py', *arguments], cwd=ROOT,
                               stdout=subprocess.PIPE, text=True,
                               env={**os.environ, **SANITIZER_OPTIONS, **(environment or {})})
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
