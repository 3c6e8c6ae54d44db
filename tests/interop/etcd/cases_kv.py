"""Cases: put, get, del, compaction through etcdctl and raw calls."""
import grpc

from case import case, pb


@case()
def put_and_get(c):
    """The plain things, in each output format."""
    c.ctl('put', 'greeting', 'hello')
    c.ctl('get', 'greeting')
    for form in ('json', 'fields', 'protobuf'):
        c.ctl('put', 'greeting', f'hello {form}', '-w', form, record=form != 'protobuf')
        c.ctl('get', 'greeting', '-w', form, record=form != 'protobuf')
    c.ctl('get', 'absent')
    c.ctl('get', 'absent', '-w', 'json')
    c.ctl('get', 'greeting', '--hex')
    c.ctl('get', 'greeting', '--print-value-only')


@case()
def put_flags(c):
    """prev-kv, ignore-value, ignore-lease, lease, values from standard input."""
    c.ctl('put', 'k', 'one', '--prev-kv')
    c.ctl('put', 'k', 'two', '--prev-kv')
    c.ctl('put', 'k', 'three', '--prev-kv', '-w', 'json')
    c.ctl('put', 'k', stdin='from standard input')
    c.ctl('get', 'k')
    lease = c.call('Lease/LeaseGrant', TTL=100, ID=77)
    c.ctl('put', 'k', 'leased', f'--lease={lease.ID:x}')
    c.ctl('put', 'k', '--ignore-value', '--prev-kv')
    c.ctl('get', 'k', '-w', 'json')
    c.ctl('put', 'k', 'kept', '--ignore-lease')
    c.ctl('get', 'k', '-w', 'json')
    c.ctl('put', 'k', 'detached')
    c.ctl('get', 'k', '-w', 'json')
    c.ctl('put', 'absent', '--ignore-value')
    c.ctl('put', 'absent', 'v', '--ignore-lease')
    c.ctl('put', 'k', 'v', '--ignore-value')
    c.ctl('put', 'k', 'v', '--lease=1234567890')
    c.ctl('put', '', 'v')
    c.ctl('put')
    c.ctl('put', 'a', 'b', 'c')


@case()
def get_ranges(c):
    """Ranges, prefixes, from-key, limits, order, keys only, count only, revisions."""
    for key in ('a', 'a/1', 'a/2', 'a/3', 'b', 'b/1', 'c'):
        c.ctl('put', key, f'value of {key}')
    c.ctl('put', 'a/2', 'again')
    for words in (['a', 'b'], ['a', '--prefix'], ['a/', '--prefix'], ['b', '--from-key'], ['', '--prefix'], ['', '--from-key'],
                  ['', 'b'], ['a', '--prefix', '--keys-only'], ['a', '--prefix', '--limit=2'], ['b', 'a'], ['a', 'a'],
                  ['a', '--prefix', '--order=DESCEND'], ['a', '--prefix', '--sort-by=MODIFY', '--order=ASCEND'],
                  ['a', '--prefix', '--sort-by=VERSION', '--order=DESCEND'], ['a', '--prefix', '--sort-by=VALUE'],
                  ['a', '--prefix', '--sort-by=CREATE', '--order=DESCEND', '--limit=2'],
                  ['a', '--prefix', '--order=SIDEWAYS'], ['a', '--prefix', '--sort-by=COLOUR'],
                  ['a', '--prefix', '--consistency=s'], ['a', '--consistency=maybe'], ['a', '--prefix', '--from-key'],
                  ['a', 'b', '--prefix'], ['a', '--prefix', '--count-only'], [], ['a', 'b', 'c']):
        c.ctl('get', *words)
        c.ctl('get', *words, '-w', 'json')
    for distance in (1, 3, 7, 8):
        c.ctl('get', 'a', '--prefix', '--rev', c.rev(distance))
    c.ctl('get', 'a', '--rev', c.rev(100))
    c.ctl('get', 'a', '--prefix', '--count-only', '-w', 'fields')


@case()
def get_binary(c):
    """Keys and values that are no text; the empty value; zero octets."""
    for key, value in ((b'\0', b'zero'), (b'\xff\xfe', b'\0\1\2'), (b'k\0', b''), (b'\xff', b'\xff' * 3), (b'k', b'')):
        c.call('KV/Put', key=key, value=value)
    c.call('KV/Range', key=b'\0', range_end=b'\0')
    c.call('KV/Range', key=b'k', range_end=b'k\0')
    c.call('KV/Range', key=b'\xff')
    c.call('KV/Range', key=b'\xff', range_end=b'\0')
    c.ctl('get', '', '--prefix', '--hex')


@case()
def delete(c):
    """del with all its flags, and what it says it deleted."""
    for key in ('a', 'a1', 'a2', 'b', 'c', 'd', 'e', 'f'):
        c.alone(key.encode(), key.encode())
    c.ctl('del', 'a')
    c.ctl('del', 'a')
    c.ctl('del', 'absent', '-w', 'json')
    c.ctl('del', 'a', '--prefix', '--prev-kv')
    c.ctl('del', 'b', 'd', '--prev-kv', '-w', 'json')
    c.ctl('del', 'e', '--from-key', '-w', 'fields')
    c.ctl('del', 'a', '--prefix', '--from-key')
    c.ctl('del')
    c.ctl('get', '', '--prefix', '-w', 'json')
    c.ctl('del', '', '--prefix')
    c.ctl('del', '', '--from-key')
    c.call('KV/DeleteRange', key=b'')
    c.call('KV/DeleteRange', key=b'\0', range_end=b'\0', prev_kv=True)


@case()
def recreate(c):
    """Version and create revision begin anew after a deletion."""
    for step in range(3):
        c.ctl('put', 'k', f'{step}')
        c.ctl('put', 'k', f'{step} again')
        c.ctl('get', 'k', '-w', 'json')
        c.ctl('del', 'k')
    for distance in range(1, 10):
        c.call('KV/Range', key=b'k', revision=c.rev(distance))


@case()
def range_options(c):
    """Every option of Range in combination, straight on the wire."""
    for index, key in enumerate([b'm', b'c', b'x', b'a', b'q', b'c', b'a', b'z', b'm', b'a']):
        c.alone(key, b'%d' % (index * 7 % 10))
    everything = dict(key=b'\0', range_end=b'\0')
    for target in range(5):
        for order in range(3):
            for limit in (0, 3):
                c.call('KV/Range', **everything, sort_target=target, sort_order=order, limit=limit)
    for fields in (dict(min_mod_revision=c.rev(5)), dict(max_mod_revision=c.rev(7)), dict(min_create_revision=c.rev(3)),
                   dict(max_create_revision=c.rev(3)), dict(min_mod_revision=c.rev(4), max_create_revision=c.rev(4), limit=1),
                   dict(min_mod_revision=c.rev(6), count_only=True), dict(keys_only=True, limit=2, sort_order=2),
                   dict(count_only=True, limit=2), dict(count_only=True, keys_only=True), dict(serializable=True, limit=1),
                   dict(limit=-1), dict(revision=-1), dict(limit=6), dict(limit=7), dict(sort_order=1, limit=6)):
        c.call('KV/Range', **everything, **fields)
    c.call('KV/Range', key=b'c', limit=1, sort_order=2)
    c.call('KV/Range', key=b'c', range_end=b'c')
    c.call('KV/Range', key=b'x', range_end=b'c')


@case()
def compaction(c):
    """Reading, compacting and watching around the compacted revision."""
    for index in range(6):
        c.alone(b'k', b'%d' % index)
    c.ctl('compaction', c.rev(3))
    c.ctl('get', 'k', '--rev', c.rev(2))
    c.ctl('get', 'k', '--rev', c.rev(3))
    c.ctl('compaction', c.rev(3))
    c.ctl('compaction', c.rev(2))
    c.ctl('compaction', c.rev(100))
    c.ctl('compaction', '--physical=true', c.rev(5))
    c.ctl('compaction', '-w', 'json', c.rev(6))
    c.call('KV/Compact', revision=c.rev(6))
    c.call('KV/Compact', revision=0)
    c.call('KV/Compact', revision=-5)
    c.ctl('compaction')
    c.ctl('compaction', 'soon')
    c.ctl('get', 'k', '-w', 'json')


@case()
def sizes(c):
    """Values up to and beyond the request limit of 1.5 MiB."""
    c.call('KV/Put', key=b'large', value=b'v' * (1 << 20), record=False)
    answer = c.call('KV/Range', key=b'large', record=False)
    c.note(f'length {len(answer.kvs[0].value)}')
    for octets in (1536 * 1024 - 100, 1536 * 1024 + 1, 3 << 20):
        try:
            c.connection().call('KV/Put', key=b'larger', value=b'v' * octets)
            c.note(f'{octets} octets: accepted')
        except grpc.RpcError as error:
            c.note(f'{octets} octets: {error.code().name} {error.details()}')
    c.call('KV/Put', key=b'k' * 100000, value=b'', record=False)
    c.call('KV/Range', key=b'k', range_end=b'l', count_only=True)


@case()
def nodes_agree(c):
    """What one node acknowledged, every node answers at once, linearizably."""
    for index in range(15):
        node = index % 3 + 1
        c.call('KV/Put', key=b'k', value=b'%d' % index, node=node)
        c.call('KV/Range', key=b'k', node=node % 3 + 1)
    for node in (1, 2, 3):
        c.ctl('get', 'k', '-w', 'json', node=node)


STRANGE = (b'\x28\x07', b'\x30\x09', b'\x28\x01\x30\x09')  # sort_order 7; sort_target 9; both


@case(instead_of_oracle=[f'{octets.hex()} -> INVALID_ARGUMENT etcdserver: invalid sort option' for octets in STRANGE])
def sort_options_outside_the_protocol(c):
    """Enumeration values that the protocol does not know. etcd 3.4 ends with a panic on them, 3.6 refuses them."""
    for strange in STRANGE:
        raw = pb.RangeRequest.FromString(pb.RangeRequest(key=b'\0', range_end=b'\0').SerializeToString() + strange)
        try:
            answer = c.connection().method('KV/Range')(raw, timeout=10)
            c.note_value(f'{strange.hex()} ->', c.names.message(answer))
        except grpc.RpcError as error:
            c.note(f'{strange.hex()} -> {error.code().name} {error.details()}')
