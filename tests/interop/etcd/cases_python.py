"""Cases: Debian's python3-etcd3, run as a program of its own (python_client.py)."""
import pathlib
import subprocess

from case import case


def run(c, name):
    """Runs one function of python_client.py; what it prints is the transcript."""
    program = pathlib.Path(__file__).parent / 'python_client.py'
    done = subprocess.run(['/usr/bin/python3', '-sB', program, name, str(c.names.base),
                           *(node.address for node in c.cluster.nodes)], capture_output=True, text=True, timeout=60)
    c.note(done.stdout)
    if done.returncode:
        c.note(f'exit {done.returncode}: {done.stderr.splitlines()[-1:]}')


@case()
def keys(c):
    """put, get, prefixes, replace, delete."""
    run(c, 'keys')


@case()
def transactions(c):
    """Its transaction language."""
    run(c, 'transactions')


@case()
def leases(c):
    """Leases, their keys, renewal, revocation."""
    run(c, 'leases')


@case()
def locks(c):
    """Its lock recipe: one holder at a time, in two threads on two nodes."""
    run(c, 'locks')


@case()
def watches(c):
    """Its watch iterators and callbacks."""
    run(c, 'watches')


@case()
def maintenance(c):
    """Status, members, alarms, compaction, defragmentation, snapshot."""
    run(c, 'maintenance')
