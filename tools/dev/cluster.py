"""./x up and ./x down: a cluster of three nodes on this machine, built from this tree."""
import os
import signal
import subprocess
import time
import urllib.error
import urllib.request

from build import polis
from packages import install
from shell import BUILD, Failure, say

FOLDER = BUILD / 'cluster'
PIDFILE = FOLDER / 'pid'
LOG = FOLDER / 'log'
ADDRESSES = ['127.0.0.1', '127.0.0.2', '127.0.0.3']
READY_SECONDS_MAX = 30

NEXT = """The cluster is ready: three nodes, each on every protocol's standard port.
  etcd      127.0.0.1:2379  127.0.0.2:2379  127.0.0.3:2379
Type next, in another terminal:
  export ETCDCTL_API=3 ETCDCTL_ENDPOINTS=127.0.0.1:2379,127.0.0.2:2379,127.0.0.3:2379
  etcdctl put greeting hello && etcdctl get greeting          (Debian package etcd-client)
  curl -s http://127.0.0.2:2379/v3/kv/range -d '{"key":"Z3JlZXRpbmc="}'
  build/release/polis status
"""


def running():
    """The process id of the detached cluster, or None."""
    try:
        pid = int(PIDFILE.read_text())
        name = (os.readlink(f'/proc/{pid}/exe')).removesuffix(' (deleted)')
    except (OSError, ValueError):
        return None
    return pid if name == str(BUILD / 'release/polis') else None


def healthy(address):
    """Whether the node at this address answers that it is part of a working cluster."""
    try:
        with urllib.request.urlopen(f'http://{address}:2379/health', timeout=1) as answer:
            return b'"true"' in answer.read()
    except (urllib.error.URLError, OSError):
        return False


def await_ready(process):
    """Returns when all nodes are healthy; raises Failure if the process ends or time passes."""
    deadline = time.monotonic() + READY_SECONDS_MAX
    while not all(healthy(address) for address in ADDRESSES):
        if process.poll() is not None:
            raise Failure(f'polis ended with status {process.returncode} before it was ready', f'Look at {LOG}')
        if time.monotonic() > deadline:
            process.terminate()
            raise Failure(f'the cluster was not ready after {READY_SECONDS_MAX} s', f'Look at {LOG}')
        time.sleep(0.1)


def up(detach=False, fresh=False):
    """Installs, builds, starts three nodes, waits until they serve, and says what to type next.

    Data stays in build/cluster between runs; fresh: begin with an empty cluster.
    """
    if pid := running():
        raise Failure(f'a cluster is running already (process {pid})', './x down ends it.')
    install('build')
    binary = polis()
    if any(healthy(address) for address in ADDRESSES):
        raise Failure('something else serves port 2379 on 127.0.0.1, .2 or .3', 'Find it with: ss -ltnp | grep 2379')
    if fresh and FOLDER.exists():
        import shutil
        shutil.rmtree(FOLDER)
    FOLDER.mkdir(parents=True, exist_ok=True)
    command = [str(binary), 'dev', '--nodes', '3', '--dir', str(FOLDER / 'data')]
    with open(LOG, 'a') as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True)
    PIDFILE.write_text(f'{process.pid}\n')
    try:
        await_ready(process)
        print(NEXT + f'Log: {LOG}')
        if detach:
            print('Ends with: ./x down')
            return 0
        print('Ends with Ctrl-C.', flush=True)
        return process.wait()
    except KeyboardInterrupt:
        down()
        process.wait()
        return 0
    except Failure:
        PIDFILE.unlink(missing_ok=True)
        raise


def down():
    """Ends the cluster that ./x up started, and waits until it is gone."""
    pid = running()
    if pid is None:
        say('No cluster is running.')
        PIDFILE.unlink(missing_ok=True)
        return 0
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + 15
    while alive(pid):
        if time.monotonic() > deadline:
            os.kill(pid, signal.SIGKILL)
            raise Failure(f'process {pid} did not end within 15 s of SIGTERM and was killed', f'Look at {LOG}')
        time.sleep(0.05)
    PIDFILE.unlink(missing_ok=True)
    say('The cluster has ended; its data stays in build/cluster (./x up --fresh starts anew).')
    return 0


def alive(pid):
    """Whether the process exists and is not merely waiting to be reaped."""
    try:
        with open(f'/proc/{pid}/stat') as stat:
            return stat.read().rsplit(')', 1)[1].split()[0] != 'Z'
    except OSError:
        return False
