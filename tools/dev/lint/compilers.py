"""What clang's tools and the compiler say: formatting (./x lint), headers that stand alone and clang-tidy (./x night)."""
import concurrent.futures
import json
import shlex
import subprocess

from lint.tree import is_test, sources
from shell import BUILD, ROOT, Failure, cores


def tool(command):
    """Runs a checking tool on the tree."""
    try:
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    except FileNotFoundError:
        raise Failure(f'{command[0]} is not installed', './x setup test installs what lint needs')


def check_format():
    """Files that clang-format would change."""
    done = tool(['clang-format-19', '--dry-run', '-Werror', *sources()])
    changed = sorted({line.split(':')[0] for line in done.stderr.splitlines() if '-Wclang-format-violations' in line})
    return [f'{path}: not formatted; ./x fmt does it' for path in changed]


def compile_commands(preset):
    """{source: its compiler command as words, without output} of a configured preset."""
    database = BUILD / preset / 'compile_commands.json'
    if not database.exists():
        raise Failure(f'{preset} is not configured', f'./x build {preset}')
    commands = {}
    for entry in json.loads(database.read_text()):
        words = shlex.split(entry['command'])
        words = words[words[0].endswith('ccache'):]
        out = words.index('-o')
        commands[entry['file']] = [w for w in words[:out] + words[out + 2:] if w not in ('-c', entry['file'])]
    return commands


def check_headers(preset='debug'):
    """Headers that do not compile on their own, with the flags of some source file of their folder's unit."""
    commands = {path.removeprefix(f'{ROOT}/'): words for path, words in compile_commands(preset).items()}
    headers = [path for path in sources() if path.startswith('src/') and path.endswith('.h')]

    def compile_one(header):
        folder = header.rpartition('/')[0]
        # A unit of headers only has no command of its own: the last unit's sees every include folder.
        words = next((w for path, w in commands.items() if path.rpartition('/')[0] == folder), commands['src/main.cc'])
        done = tool([*words, '-fsyntax-only', '-Wno-pragma-once-outside-header', '-x', 'c++', str(ROOT / header)])
        return [f'{header}: does not compile on its own:\n{done.stderr}'] if done.returncode else []

    with concurrent.futures.ThreadPoolExecutor(cores()) as pool:
        return [fault for faults in pool.map(compile_one, headers) for fault in faults]


def check_tidy(preset='asan'):
    """What clang-tidy finds in sources that are not tests, by the checks of .clang-tidy."""
    compile_commands(preset)
    paths = [path for path in sources() if path.startswith('src/') and path.endswith('.cc') and not is_test(path)]

    def tidy_one(path):
        done = tool(['clang-tidy-19', '--quiet', '-p', str(BUILD / preset), path])
        return [f'{path}: clang-tidy:\n{done.stdout}'] if done.returncode else []

    with concurrent.futures.ThreadPoolExecutor(cores()) as pool:
        return [fault for faults in pool.map(tidy_one, paths) for fault in faults]
