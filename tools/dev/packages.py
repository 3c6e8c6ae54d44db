"""Installs the Debian packages of tools/packages.txt, and unpacks other projects' servers without installing them."""
import fcntl
import os
import subprocess

from shell import BUILD, ROOT, Failure, output_of, run, say

# Servers that tests compare us with. They are unpacked below build/peers, never installed, so that no daemon is started
# by a package's scripts and no port of the machine is taken.
PEERS = {'etcd': 'etcd-server'}


def groups():
    """{group: [package]} of tools/packages.txt."""
    found = {}
    for line in (ROOT / 'tools/packages.txt').read_text().splitlines():
        if line and not line.startswith('#'):
            group, package = line.split()
            found.setdefault(group, []).append(package)
    return found


def missing(names):
    """Those of the packages that are not installed."""
    listing = subprocess.run(['dpkg-query', '-W', '-f', '${Package} ${Status}\n', *names],
                             capture_output=True, text=True).stdout
    installed = {line.split()[0] for line in listing.splitlines() if line.endswith('install ok installed')}
    return [name for name in names if name not in installed]


def as_root(command):
    """The command, through sudo where this is not root."""
    return command if os.geteuid() == 0 else ['sudo', *command]


def install(*wanted):
    """Installs what is missing of these groups; does nothing, and needs no network, if nothing is."""
    known = groups()
    names = [name for group in wanted for name in known[group]]
    absent = missing(names)
    if not absent:
        return
    say(f'Installing {len(absent)} Debian packages: {" ".join(absent)}')
    then = 'Run `apt-get update` by hand and look at its output; the packages are all in Debian 12 (bookworm) main.'
    environment = {**os.environ, 'DEBIAN_FRONTEND': 'noninteractive'}
    run(as_root(['apt-get', 'update', '-q']), then=then, quiet=True)
    run(as_root(['apt-get', 'install', '-q', '-y', '--no-install-recommends', *absent]), then=then, quiet=True,
        env=environment)
    left = missing(names)
    if left:
        raise Failure(f'still not installed: {" ".join(left)}', then)


def peer(name):
    """The folder into which another project's server is unpacked; fetches it with apt-get the first time."""
    peers = BUILD / 'peers'
    peers.mkdir(parents=True, exist_ok=True)
    with open(peers / 'lock', 'w') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # Two sides of a comparison, or two runs, may ask at once.
        if not (peers / name / '.complete').exists():
            unpack_peer(name)
    return peers / name


def unpack_peer(name):
    """Fetches and unpacks it. REQUIRES: nobody else does."""
    say(f'Fetching {PEERS[name]} as the test oracle (unpacked below build/peers, not installed)')
    archives, folder = BUILD / 'peers' / 'archives', BUILD / 'peers' / name
    archives.mkdir(exist_ok=True)
    then = f'`apt-get download {PEERS[name]}` must work on this machine; it needs a Debian 12 package source.'
    if not list(archives.glob(f'{PEERS[name]}_*.deb')):
        if 'Candidate: ' not in output_of(['apt-cache', 'policy', PEERS[name]]):
            run(as_root(['apt-get', 'update', '-q']), then=then, quiet=True)
        run(['apt-get', 'download', '-q', PEERS[name]], then=then, quiet=True, cwd=archives)
    for archive in archives.glob(f'{PEERS[name]}_*.deb'):
        run(['dpkg', '-x', archive, folder], then=then, quiet=True)
    (folder / '.complete').touch()
