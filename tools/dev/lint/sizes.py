"""Lengths of files and functions. tools/limits.txt lists today's exceptions, exactly, so that they can only shrink."""
import ast
import json
import subprocess

from lint.tree import files, lines, sources, text
from shell import ROOT, Failure

FILE_LINES_MAX, FUNCTION_LINES_MAX = 800, 70


def cpp_functions():
    """(path, name, lines) of all C++ functions, by universal-ctags."""
    try:
        out = subprocess.run(['ctags', '--fields=+ne', '--langmap=C++:.h.cc', '--kinds-C++=f', '-L', '-', '-f', '-',
                              '--output-format=json'], input='\n'.join(sources()), cwd=ROOT, capture_output=True,
                             text=True, check=True).stdout
    except FileNotFoundError:
        raise Failure('ctags is not installed', './x setup test installs what lint needs')
    tags = [json.loads(line) for line in out.splitlines()]
    return [(tag['path'], tag['name'], tag['end'] - tag['line'] + 1) for tag in tags if 'end' in tag]


def python_functions():
    """(path, name, lines) of all Python functions."""
    found = []
    for path in files():
        if path.endswith('.py'):
            for node in ast.walk(ast.parse(text(path))):
                if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                    found.append((path, node.name, node.end_lineno - node.lineno + 1))
    return found


def excesses():
    """{'file PATH' or 'function PATH NAME': lines} of all that is over its limit."""
    over = {}
    for path in files():
        if path.endswith(('.h', '.cc', '.py', '.sh', '.cmake')) and (length := len(text(path).splitlines())) > FILE_LINES_MAX:
            over[f'file {path}'] = length
    for path, name, length in cpp_functions() + python_functions():
        if length > FUNCTION_LINES_MAX:
            key = f'function {path} {name}'
            over[key] = max(length, over.get(key, 0))
    return over


def check_sizes():
    """What is over its limit and not listed, listed with more than it has, or listed and no longer over."""
    listed = {}
    for _, line in lines('tools/limits.txt'):
        if line and not line.startswith('#'):
            what, _, length = line.rpartition(' ')
            listed[what] = int(length)
    over, found = excesses(), []
    for what, length in over.items():
        limit = FILE_LINES_MAX if what.startswith('file') else FUNCTION_LINES_MAX
        if what not in listed:
            found.append(f'{what} has {length} lines, {limit} is the limit: split it by what its parts are for')
        elif length > listed[what]:
            found.append(f'{what} grew from {listed[what]} to {length} lines; tools/limits.txt lets it only shrink')
        elif length < listed[what]:
            found.append(f'{what} has shrunk to {length} lines: write that into tools/limits.txt')
    found += [f'{what} is within its limit: take it out of tools/limits.txt' for what in listed if what not in over]
    return found


def check_first_lines():
    """Line 1 of a source file says what it is for."""
    found = []
    for path in files():
        if path.endswith(('.h', '.cc', '.py')):
            first = (text(path).splitlines() or [''])[0]
            if first.startswith('#!'):
                first = (text(path).splitlines() + ['', ''])[1]
            if not first.startswith(('//', '"""', '#')) or len(first) < 12:
                found.append(f'{path}:1: say in one sentence what this file is for')
    return found
