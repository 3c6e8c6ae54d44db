"""src/layers.txt against the includes: who may see whom, no cycles, and only the open headers of cluster and services."""
import re

from lint.tree import files, lines, sources, text

INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"')
# Of these, others see only *api.h and options.h; node and cli put the parts together and see all.
CLOSED = ('cluster', 'services/')
ASSEMBLERS = ('node', 'cli')


def layers():
    """{unit: [units it may include, patterns expanded]}, in the file's order."""
    raw = {}
    for line in text('src/layers.txt').splitlines():
        if line and not line.startswith('#'):
            unit, allowed = line.split(':')
            raw[unit] = allowed.split()
    expand = lambda pattern: [u for u in raw if u.startswith(pattern[:-1])] if pattern.endswith('*') else [pattern]
    return {unit: [u for pattern in allowed for u in expand(pattern)] for unit, allowed in raw.items()}


def unit_of(path, units):
    """The unit that a path below src/ belongs to: its folder, or None."""
    folder = path.rpartition('/')[0]
    return folder if folder in units else None


def check_layers():
    """Faults of layers.txt itself: unknown names, and units that are used above where they stand (which excludes cycles)."""
    found, seen = [], set()
    known = layers()
    for unit, allowed in known.items():
        for other in allowed:
            if other not in known:
                found.append(f'src/layers.txt: {unit} may include {other}, which is no unit')
            elif other not in seen and other != unit:
                found.append(f'src/layers.txt: {unit} may include {other}, which stands below it: order units so that '
                             'each uses only earlier ones, or there is a cycle')
        seen.add(unit)
    folders = {path[4:].rpartition('/')[0] for path in files() if path.startswith('src/') and path.endswith(('.h', '.cc'))}
    found += [f'src/{folder}: has sources but no line in src/layers.txt' for folder in sorted(folders) if folder and
              folder not in known]
    return found


def check_includes():
    """Includes that src/layers.txt does not allow."""
    found, known = [], layers()
    for path in sources():
        if not path.startswith('src/') or path == 'src/main.cc':
            continue
        unit = unit_of(path[4:], known)
        for number, line in lines(path):
            match = INCLUDE.match(line)
            if not match or unit is None:
                continue
            header = match[1]
            other = unit_of(header, known)
            where = f'{path}:{number}'
            if other is None:
                found.append(f'{where}: "{header}" is in no unit; write the path from src/ (outside headers with <>)')
            elif other != unit and other not in known[unit]:
                found.append(f'{where}: {unit} may not include {other}; see src/layers.txt')
            elif other != unit and other.startswith(CLOSED) and unit not in ASSEMBLERS and not (
                    header.endswith('api.h') or header.endswith('/options.h')):
                found.append(f'{where}: of {other}, others see only *api.h and options.h')
    return found


def check_header_cycles():
    """Headers that include each other in a circle."""
    graph = {}
    for path in sources():
        if path.startswith('src/') and path.endswith('.h'):
            graph[path[4:]] = [m[1] for _, line in lines(path) if (m := INCLUDE.match(line))]
    found, done = [], set()

    def visit(header, trail):
        if header in trail:
            found.append('headers include each other: ' + ' -> '.join(trail[trail.index(header):] + [header]))
        elif header in graph and header not in done:
            for other in graph[header]:
                visit(other, trail + [header])
            done.add(header)

    for header in graph:
        visit(header, [])
    return found
