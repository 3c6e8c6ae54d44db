"""The program of cases_python.py: uses Debian's python3-etcd3, a client that somebody else wrote, and prints what it gets.

A process of its own, because etcd3 brings the same protobuf messages under the same names.
"""
import pathlib
import sys
import tempfile
import threading
import time

import etcd3


class Run:
    """Stands in for the case: the nodes' addresses, and a transcript that is printed."""

    def __init__(self, addresses, base):
        self.addresses, self.base = addresses, base

    def note(self, value):
        """A line of the transcript."""
        print(value, flush=True)


def client(c, node=1):
    """An etcd3 client of one node."""
    return etcd3.client(host=c.addresses[node - 1], port=2379, timeout=10)


def keys(c):
    """put, get, prefixes, replace, delete."""
    etcd = client(c)
    etcd.put('a/1', 'one')
    etcd.put('a/2', 'two')
    c.note(etcd.get('a/1')[0])
    c.note(etcd.get('absent'))
    c.note([(value, meta.key) for value, meta in etcd.get_prefix('a/')])
    c.note([(value, meta.key) for value, meta in etcd.get_prefix('a/', sort_order='descend')])
    c.note([(value, meta.key) for value, meta in etcd.get_all()])
    c.note([(value, meta.key, meta.version) for value, meta in etcd.get_range('a/1', 'a/3')])
    c.note(etcd.replace('a/1', 'one', 'eins'))
    c.note(etcd.replace('a/1', 'one', 'uno'))
    c.note(etcd.put_if_not_exists('a/1', 'x'))
    c.note(etcd.put_if_not_exists('a/3', 'x'))
    c.note(etcd.delete('a/1'))
    c.note(etcd.delete('a/1'))
    c.note(etcd.delete_prefix('a/').deleted)


def transactions(c):
    """Its transaction language."""
    etcd = client(c)
    etcd.put('k', 'v')
    result = etcd.transaction(compare=[etcd.transactions.value('k') == 'v', etcd.transactions.version('k') > 0],
                              success=[etcd.transactions.put('k', 'success'), etcd.transactions.get('k')],
                              failure=[etcd.transactions.put('k', 'failure')])
    c.note(result[0])
    c.note(etcd.get('k')[0])
    result = etcd.transaction(compare=[etcd.transactions.create('k') == 0], success=[],
                              failure=[etcd.transactions.delete('k')])
    c.note(result[0])
    c.note(etcd.get('k')[0])


def leases(c):
    """Leases, their keys, renewal, revocation."""
    etcd = client(c)
    lease = etcd.lease(50)
    etcd.put('leased', 'v', lease=lease)
    c.note(lease.granted_ttl)
    c.note(lease.keys)
    c.note([answer.TTL for answer in lease.refresh()])
    c.note(lease.remaining_ttl >= 48)
    lease.revoke()
    c.note(etcd.get('leased'))


def locks(c):
    """Its lock recipe: one holder at a time, in two threads on two nodes."""
    holders, most, lock = [], [0], threading.Lock()

    def work(node):
        etcd = client(c, node)
        for _ in range(5):
            with etcd.lock('mutex', ttl=10):
                with lock:
                    holders.append(node)
                    most[0] = max(most[0], len(holders))
                time.sleep(0.01)
                with lock:
                    holders.remove(node)

    threads = [threading.Thread(target=work, args=(node,)) for node in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    c.note(f'at most {most[0]} at once; all done: {not any(thread.is_alive() for thread in threads)}')


def watches(c):
    """Its watch iterators and callbacks."""
    etcd = client(c)
    events, cancel = etcd.watch_prefix('w/')
    seen = []
    arrived = threading.Event()
    watch = etcd.add_watch_callback('w/2', lambda answer: (seen.extend(answer.events), arrived.set()))
    etcd.put('w/1', 'one')
    etcd.put('w/2', 'two')
    etcd.delete('w/1')
    for _ in range(3):
        event = next(events)
        c.note(f'{type(event).__name__} {event.key} {event.value}')
    arrived.wait(5)
    c.note([event.key for event in seen])
    cancel()
    etcd.cancel_watch(watch)


def maintenance(c):
    """Status, members, alarms, compaction, defragmentation, snapshot."""
    etcd = client(c)
    c.note(sorted((member.name, list(member.client_urls)) for member in etcd.members))
    status = etcd.status()
    c.note(f'a leader is known: {status.leader is not None}; size: {status.db_size > 0}')
    c.note(list(etcd.list_alarms()))
    etcd.put('k', 'v')
    etcd.put('k', 'w')
    etcd.compact(c.base + 2)
    etcd.defragment()
    c.note(etcd.hash() >= 0)
    with tempfile.TemporaryDirectory() as folder:
        saved = pathlib.Path(folder) / 'saved.db'
        with open(saved, 'wb') as file:
            etcd.snapshot(file)
        c.note(f'length mod 512: {saved.stat().st_size % 512}')


if __name__ == '__main__':
    name, base, *addresses = sys.argv[1:]
    {'keys': keys, 'transactions': transactions, 'leases': leases, 'locks': locks, 'watches': watches,
     'maintenance': maintenance}[name](Run(addresses, int(base)))
