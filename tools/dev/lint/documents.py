"""Documents against the tree: the map of ARCHITECTURE.md, links, the reasons for packages."""
import re

from lint.layers import layers
from lint.tree import files, lines, text
from packages import groups
from shell import ROOT

LINK = re.compile(r'\[[^\]]*\]\(([^)#:\s]+)(?:#[^)]*)?\)')
HIDDEN = {'.ci', '.clang-format', '.clang-tidy', '.gitignore', '.gitattributes'}


def mapped():
    """Paths that the map of ARCHITECTURE.md (its first fenced block) names, one a line, folders ending in a slash."""
    block = text('ARCHITECTURE.md').split('```')[1:2]
    return [line.split()[0] for line in (block[0].splitlines()[1:] if block else []) if line.strip()]


def check_map():
    """Places that the map names and that are not there, and units or top-level entries that it does not name."""
    tree = files()
    named = mapped()
    if not named:
        return ['ARCHITECTURE.md: has no map (its first fenced block)']
    present = lambda place: any(path == place or (place.endswith('/') and path.startswith(place)) for path in tree)
    found = [f'ARCHITECTURE.md: the map names {place}, which is not there' for place in named if not present(place)]
    units = {f'src/{unit}/' for unit in layers() if present(f'src/{unit}/')}
    top = {path.split('/')[0] + ('/' if '/' in path else '') for path in tree}
    wanted = units | {entry for entry in top if entry.rstrip('/') not in HIDDEN}
    return found + [f'ARCHITECTURE.md: the map does not name {place}' for place in sorted(wanted - set(named))]


def check_links():
    """Relative links of documents that lead nowhere."""
    found = []
    for path in files():
        if path.endswith('.md'):
            folder = (ROOT / path).parent
            for number, line in lines(path):
                found += [f'{path}:{number}: {target} is not there' for target in LINK.findall(line)
                          if not (folder / target).exists()]
    return found


def check_packages():
    """Packages without a reason in docs/dependencies.md, and reasons without a package."""
    listed = {package for group in groups().values() for package in group}
    reasons = set(re.findall(r'^\| `([^`]+)`', text('docs/dependencies.md'), re.M))
    return ([f'docs/dependencies.md: say why {package} is needed' for package in sorted(listed - reasons)] +
            [f'docs/dependencies.md: {package} is not in tools/packages.txt' for package in sorted(reasons - listed)])


def check_options():
    """Options that docs/configuration.md does not explain, or explains though they are gone."""
    options = set(re.findall(r'option\(\s*"([a-z_]+(?:\.[a-z_]+)+)"', text('src/node/config_table.cc')))
    told = set(re.findall(r'^\| `([a-z_.]+)`', text('docs/configuration.md'), re.M))
    return ([f'docs/configuration.md: explain {option}' for option in sorted(options - told)] +
            [f'docs/configuration.md: there is no option {option}' for option in sorted(told - options)])
