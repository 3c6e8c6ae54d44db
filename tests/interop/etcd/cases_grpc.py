"""Cases: gRPC itself: health, unknown methods, malformed messages, compression, deadlines, many calls on one connection."""
import time

import grpc

from case import case, pb


def raw(c, path, request=b'', **options):
    """A call with octets instead of messages; what came, as text."""
    try:
        answer = c.connection().channel.unary_unary(path)(request, timeout=10, **options)
        c.note(f'{path} {request.hex()} -> {answer.hex()}')
    except grpc.RpcError as error:
        c.note(f'{path} {request.hex()} -> {error.code().name}: {error.details()}')


@case()
def health(c):
    """grpc.health.v1: the server as a whole, and a service that is not there."""
    raw(c, '/grpc.health.v1.Health/Check')
    raw(c, '/grpc.health.v1.Health/Check', b'\x0a\x07nothing')


@case()
def unknown(c):
    """Methods and services that do not exist."""
    raw(c, '/etcdserverpb.KV/Nothing')
    raw(c, '/nothing.Nothing/Nothing')
    raw(c, '/etcdserverpb.KV/')


@case()
def malformed(c):
    """Octets that are no message: refused with the code for it, whatever the words; the connection lives on."""
    for octets in (b'\xff', b'\x0a\xff\x01', b'\x0a'):
        try:
            c.connection().channel.unary_unary('/etcdserverpb.KV/Put')(octets, timeout=10)
            c.note(f'{octets.hex()} accepted')
        except grpc.RpcError as error:
            c.note(f'{octets.hex()} -> {error.code().name}')
    c.call('KV/Put', key=b'k', value=b'v')


@case()
def unknown_fields(c):
    """Fields of a later protocol are ignored."""
    request = pb.PutRequest(key=b'k', value=b'v').SerializeToString() + b'\xf8\x3e\x01'
    c.connection().channel.unary_unary('/etcdserverpb.KV/Put')(request, timeout=10)
    c.call('KV/Range', key=b'k')


@case(instead_of_oracle=['base+1', '5000'])
def compression(c):
    """Requests compressed with gzip, which etcd 3.4 does not know."""
    method = c.connection().method('KV/Put')
    answer = method(pb.PutRequest(key=b'k', value=b'v' * 5000), timeout=10, compression=grpc.Compression.Gzip)
    c.note(c.names.revision(answer.header.revision))
    answer = c.connection().call('KV/Range', key=b'k')
    c.note(len(answer.kvs[0].value))


@case()
def deadline(c):
    """A call whose time has passed ends with the code for it."""
    for lease in (5, 6):
        c.connection().call('Lease/LeaseGrant', TTL=100, ID=lease)
    first = c.call('Lock/Lock', name=b'm', lease=5)
    try:
        c.connection().call('Lock/Lock', name=b'm', lease=6, timeout=0.5)
        c.note('locked twice')
    except grpc.RpcError as error:
        # etcd's own error may come before the client notices that its time is over.
        c.note(error.code().name.replace('UNKNOWN', 'DEADLINE_EXCEEDED'))
    time.sleep(1)  # The one that gave up is taken out of the line some time after.
    c.call('Lock/Unlock', key=first.key)


@case()
def many_at_once(c):
    """Five hundred calls at a time on one connection: each is answered, each with a revision of its own."""
    method = c.connection().method('KV/Put')
    calls = [method.future(pb.PutRequest(key=b'k%d' % index, value=b'%d' % index), timeout=20) for index in range(500)]
    revisions = sorted(call.result().header.revision for call in calls)
    c.note(f'{c.names.revision(revisions[0])} to {c.names.revision(revisions[-1])}, {len(set(revisions))} different')
    c.call('KV/Range', key=b'k', range_end=b'l', count_only=True)


@case()
def many_streams(c):
    """Two hundred watches, each on a stream of its own, all told of one change."""
    streams = [c.open_stream('Watch/Watch') for _ in range(200)]
    for stream in streams:
        stream.owner.lines, kept = [], stream.owner.lines
        stream.send(create_request=pb.WatchCreateRequest(key=b'k'))
        stream.owner.lines = kept
    created = sum(len(stream.take(1, record=False)) for stream in streams)
    c.alone(b'k', b'v')
    told = sum(len(stream.take(1, record=False)) for stream in streams)
    c.note(f'{created} created, {told} told')
