"""Cases: watches through etcdctl and raw streams."""
import re

from case import case, pb


def create(key, **fields):
    """A request that creates a watcher."""
    return dict(create_request=pb.WatchCreateRequest(key=key, **fields))


def watchers(c):
    """How many watchers the first node has."""
    _, text = c.http('/metrics', record=False)
    return float(re.search(r'^etcd_debugging_mvcc_watcher_total (\S+)', text, re.M)[1])


def history(c):
    """Seven changes, at base+1 to base+7."""
    c.alone(b'a', b'1')
    c.alone(b'b', b'1')
    c.alone(b'a', b'2')
    c.connection().call('KV/DeleteRange', key=b'a')
    c.connection().call('KV/Txn', success=[pb.RequestOp(request_put=pb.PutRequest(key=b'a', value=b'3')),
                                           pb.RequestOp(request_put=pb.PutRequest(key=b'c', value=b'3'))])
    c.connection().call('KV/DeleteRange', key=b'b')
    c.connection().call('KV/DeleteRange', key=b'a', range_end=b'z')


@case()
def ctl_watch(c):
    """etcdctl watch over the past: keys, prefixes, ranges, previous values, formats."""
    history(c)
    start = ['--rev', c.rev(1)]
    for count, words in ((15, ['a']), (27, ['a', 'z']), (15, ['a', '--prefix']), (21, ['a', '--prev-kv']),
                         (27, ['', '--prefix']), (33, ['a', '--from-key']), (1, ['a', '-w', 'json'])):
        c.start_ctl('watch', *words, *start).finish(count)
    c.start_ctl('watch', 'a', '--rev', c.rev(4), '-w', 'fields').finish(25)
    c.ctl('watch')
    c.ctl('watch', 'a', 'b', '--prefix')
    c.ctl('watch', '-i', stdin='wath a\n')


@case()
def ctl_watch_live(c):
    """Events arrive while the watch runs; also on another node than the one that wrote."""
    c.until(lambda: watchers(c) == 0)  # Those of the last case end when the server notices that their connections have.
    watch = c.start_ctl('watch', 'k', '--prefix')
    c.until(lambda: watchers(c) == 1)
    for index in range(5):
        c.ctl('put', f'k{index}', 'v', node=index % 3 + 1)
    c.ctl('del', 'k', '--prefix')
    watch.finish(25)


@case()
def ctl_watch_interactive(c):
    """etcdctl watch -i takes watches line by line."""
    history(c)
    watch = c.start_ctl('watch', '-i')
    watch.type(f'watch a --rev={int(c.rev(1))}\n')
    watch.expect(14)
    watch.type(f'watch b c --rev={int(c.rev(1))}\n')
    watch.finish(20)


@case()
def ctl_watch_command(c):
    """etcdctl watch runs a command for each event."""
    history(c)
    c.start_ctl('watch', 'b', '--rev', c.rev(1), '--', 'sh', '-c', 'echo $ETCD_WATCH_EVENT_TYPE $ETCD_WATCH_KEY').finish(8)


@case()
def past(c):
    """A raw watch from each revision of the past."""
    history(c)
    for distance, events in ((1, 9), (4, 6), (5, 5), (7, 2)):
        stream = c.open_stream('Watch/Watch')
        stream.send(**create(b'\0', range_end=b'\0', start_revision=c.rev(distance)))
        stream.take(1)
        for answer in stream.collect(events):
            for event in answer.events:
                c.note_value('event', c.names.message(event))
        stream.close()


@case()
def live(c):
    """Several watchers on one stream, chosen ids, filters, previous values."""
    stream = c.open_stream('Watch/Watch')
    for request in (create(b'k', watch_id=5), create(b'k', prev_kv=True), create(b'k', filters=[0]), create(b'k', filters=[1]),
                    create(b'a', range_end=b'z'), create(b'k', watch_id=5), create(b'k', watch_id=1), create(b'')):
        stream.send(**request)
        stream.take(1)
    for act in (lambda: c.alone(b'k', b'1'), lambda: c.alone(b'k', b'2'),
                lambda: c.connection().call('KV/DeleteRange', key=b'k')):
        act()
        for answer in sorted(stream.collect(events=4), key=lambda a: a.watch_id):
            c.note_value('event', c.names.message(answer))


@case()
def cancel(c):
    """Cancelling, cancelling what is not there, and watching on."""
    stream = c.open_stream('Watch/Watch')
    stream.send(**create(b'k', watch_id=3))
    stream.take(1)
    stream.send(cancel_request=pb.WatchCancelRequest(watch_id=99))
    stream.send(cancel_request=pb.WatchCancelRequest(watch_id=3))
    stream.take(1)
    stream.send(**create(b'k', watch_id=4))
    stream.take(1)
    c.alone(b'k', b'v')
    stream.take(1)


@case()
def refused(c):
    """Watches that cannot be: from the compacted past, empty ranges, negative revisions; and from the future."""
    history(c)
    c.connection().call('KV/Compact', revision=c.rev(4), physical=True)
    stream = c.open_stream('Watch/Watch')
    stream.send(**create(b'a', start_revision=c.rev(2)))
    stream.take(2)
    stream.send(**create(b'b', range_end=b'a'))
    stream.take(1)
    stream.send(**create(b'a', range_end=b'a'))
    stream.take(1)
    other = c.open_stream('Watch/Watch')
    other.send(**create(b'a', start_revision=c.rev(9)))
    other.take(1)
    c.alone(b'a', b'at +8')
    c.alone(b'a', b'at +9')
    other.take(1)
    c.ctl('watch', 'a', '--rev', c.rev(1))


@case()
def progress(c):
    """A progress request is answered with id -1 and the current revision."""
    stream = c.open_stream('Watch/Watch')
    stream.send(**create(b'k'))
    stream.take(1)
    c.alone(b'other', b'v')
    stream.send(progress_request=pb.WatchProgressRequest())
    stream.take(1)
    c.alone(b'k', b'v')
    stream.take(1)
    stream.send(progress_request=pb.WatchProgressRequest())
    stream.take(1)


@case()
def many_events(c):
    """A thousand changes, watched from the first: complete, in order, whichever node is asked."""
    for index in range(1000):
        c.alone(b'k%d' % (index % 10), b'%d' % index)
    for node in (1, 2, 3):
        stream = c.open_stream('Watch/Watch', node=node)
        stream.send(**create(b'k', range_end=b'l', start_revision=c.rev(1)))
        stream.take(1)
        events = []
        while len(events) < 1000:
            answer = stream.take(1, record=False)
            if not answer:
                break
            events += answer[0].events
        revisions = [event.kv.mod_revision for event in events]
        c.note(f'{len(events)} events, in order: {revisions == sorted(revisions)}, distinct: {len(set(revisions))}, '
               f'values in order: {[int(e.kv.value) for e in events] == list(range(1000))}')


@case()
def fragments(c):
    """A revision larger than a message comes in fragments if that was asked for, and whole if not."""
    value = b'v' * (1 << 20)
    c.connection().call('KV/Txn', success=[pb.RequestOp(request_put=pb.PutRequest(key=b'small'))])
    for index in range(4):
        c.alone(b'k%d' % index, value)
    for fragment in (True, False):
        stream = c.open_stream('Watch/Watch')
        stream.send(**create(b'k', range_end=b'l', start_revision=c.rev(2), fragment=fragment))
        stream.take(1)
        events, last = 0, True
        while events < 4:
            answer = stream.take(1, record=False)
            if not answer:
                break
            events += len(answer[0].events)
            last = answer[0].fragment
        c.note(f'fragment {fragment}: {events} events; the last message announces more: {last}')


@case()
def lease_expiry_is_seen(c):
    """Keys of a lease that ends are deleted with an event each."""
    lease = c.call('Lease/LeaseGrant', TTL=100, ID=5).ID
    for key in (b'l2', b'l1', b'l3'):
        c.alone(key, b'v', lease=lease)
    stream = c.open_stream('Watch/Watch')
    stream.send(**create(b'l', range_end=b'm', prev_kv=True))
    stream.take(1)
    c.call('Lease/LeaseRevoke', ID=lease)
    stream.take(1)
