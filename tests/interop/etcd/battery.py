"""Runs each case against the oracle and against the subject side by side, and compares what they answered line by line."""
import concurrent.futures
import difflib
import importlib
import re
import sys
import time
import traceback

import case as case_module
from clusters import Side
from expected_differences import DIFFERENCES

MODULES = ('cases_kv', 'cases_txn', 'cases_watch', 'cases_lease', 'cases_cluster', 'cases_maintenance', 'cases_auth',
           'cases_gateway', 'cases_grpc', 'cases_python', 'cases_tls')


def all_cases(pattern=''):
    """The cases whose module.name contains the pattern, in order."""
    for module in MODULES:
        importlib.import_module(module)
    names = {}
    for function in case_module.CASES:
        names[f'{function.__module__.removeprefix("cases_")}.{function.__name__}'] = function
    return {name: function for name, function in names.items() if pattern in name}


def run_side(side, function):
    """One case on one side: its transcript. What goes wrong in the case itself is part of it."""
    try:
        case = side.begin(function.cluster, function.options)
    except Exception as error:
        return [f'the cluster did not start: {error}', traceback.format_exc()]
    try:
        function(case)
    except Exception as error:
        case.lines.append(f'the case broke off: {type(error).__name__}: {case.names.text(str(error))}')
        print(f'  ({side.role}: {traceback.format_exc()})', file=sys.stderr)
    finally:
        side.end(case)
    return case.lines


class Expectations:
    """The known differences between the oracle and the subject, and which of them were seen."""

    def __init__(self, subject):
        self.active = DIFFERENCES if subject == 'polis' else []
        self.seen = set()

    def apply(self, name, lines):
        """The oracle's transcript, as the subject's should be."""
        out = []
        for text in lines:
            for difference in self.active:
                if re.fullmatch(difference.case, name):
                    changed = re.sub(difference.oracle, difference.ours, text)
                    if changed != text:
                        self.seen.add(difference)
                        text = changed
            out += text.split('\n') if text != DELETED else []
        return out

    def unseen(self):
        """Differences that no longer occur: the list must not outlive its reasons."""
        return [difference for difference in self.active if difference not in self.seen]


DELETED = '<line deleted>'


def compare(name, oracle, subject, expectations):
    """The lines in which the subject is not as it should be."""
    wanted = expectations.apply(name, oracle)
    return list(difflib.unified_diff(wanted, subject, 'oracle', 'subject', n=1, lineterm=''))[2:] if wanted != subject else []


def run(pattern='', subject='polis', verbose=False):
    """Runs the cases; returns (passed, [failures])."""
    passed, failed = 0, []
    sides = Side('oracle', 'etcd'), Side('subject', subject)
    expectations = Expectations(subject)
    cases = all_cases(pattern)
    try:
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            for name, function in cases.items():
                start = time.monotonic()
                if function.instead_of_oracle and subject == 'etcd':
                    continue
                asked = sides[1:] if function.instead_of_oracle else sides
                *oracle, ours = pool.map(run_side, asked, [function] * 2)
                oracle = function.instead_of_oracle or oracle[0]
                difference = compare(name, oracle, ours, expectations)
                broke = [text for text in oracle if text.startswith(('the case broke off', 'the cluster did not start'))]
                if difference or broke or not oracle:
                    failed.append(f'etcd/{name}')
                    print(f'---- etcd/{name}')
                    print('\n'.join(text[:600] for text in (difference or broke)[:60]))
                else:
                    passed += 1
                if verbose:
                    print('\n'.join(oracle))
                print(f'  {name}: {"FAILED" if difference or broke else "passed"} '
                      f'({len(oracle)} lines, {time.monotonic() - start:.1f} s)', flush=True)
    finally:
        for side in sides:
            side.close()
    if not pattern:
        for difference in expectations.unseen():
            failed.append(f'etcd/expected difference no longer seen: {difference.case} {difference.oracle}')
    return passed, failed
