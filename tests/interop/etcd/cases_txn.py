"""Cases: transactions through etcdctl's little language and raw calls."""
import grpc

from case import case, pb


def put(key, value=b'', **fields):
    """A put operation."""
    return pb.RequestOp(request_put=pb.PutRequest(key=key, value=value, **fields))


def get(key, **fields):
    """A range operation."""
    return pb.RequestOp(request_range=pb.RangeRequest(key=key, **fields))


def delete(key, **fields):
    """A deletion."""
    return pb.RequestOp(request_delete_range=pb.DeleteRangeRequest(key=key, **fields))


def txn(**fields):
    """A nested transaction."""
    return pb.RequestOp(request_txn=pb.TxnRequest(**fields))


def compare(target, result, key, **fields):
    """A comparison; target and result by name."""
    return pb.Compare(target=pb.Compare.CompareTarget.Value(target), result=pb.Compare.CompareResult.Value(result), key=key,
                      **fields)


@case()
def ctl_txn(c):
    """etcdctl txn from standard input and interactively."""
    c.alone(b'k', b'v')
    for text in ('value("k") = "v"\n\nput k w\nget k\n\nput k x\n\n', 'value("k") = "v"\n\nput k w\n\nput k x\nget k\n\n',
                 'version("k") > "1"\nmod("k") > "0"\ncreate("k") < "999999999"\n\nget k\n\ndel k\n\n',
                 'version("absent") = "0"\n\nput absent here --lease=0\n\n\n', '\n\nget k\n\n', '\nget k\nput j 1\ndel j\n\n\n',
                 'lease("k") = "0"\n\nget k --prefix\n\n\n', 'nonsense\n\nget k\n\n\n', 'value("k") ? "v"\n\nget k\n\n\n',
                 'version("k") != "7"\n\nget k -w json\n\n\n', '\nput k 1\nput k 2\n\n\n'):
        c.ctl('txn', stdin=text)
    c.ctl('txn', '-i', stdin='value("k") = "x"\n\nput k from-success\n\nput k from-failure\n\n')
    c.ctl('txn', '-w', 'json', stdin='value("k") = "x"\n\nget k\n\nget k\nput k again\n\n')
    c.ctl('get', '', '--prefix')


@case()
def compares(c):
    """Each target with each relation, on present and missing keys, and over ranges."""
    lease = c.call('Lease/LeaseGrant', TTL=100, ID=11).ID
    c.alone(b'k', b'v')
    c.alone(b'k', b'w', lease=lease)
    c.alone(b'k2', b'w')
    values = {'VERSION': ('version', [0, 1, 2, 3]), 'CREATE': ('create_revision', [0, c.rev(1), c.rev(2)]),
              'MOD': ('mod_revision', [0, c.rev(2), c.rev(3)]), 'VALUE': ('value', [b'', b'v', b'w', b'x']),
              'LEASE': ('lease', [0, lease, lease + 1])}
    for target, (field, wanted) in values.items():
        for result in ('EQUAL', 'GREATER', 'LESS', 'NOT_EQUAL'):
            for value in wanted:
                for key in (b'k', b'absent'):
                    c.call('KV/Txn', compare=[compare(target, result, key, **{field: value})])
    for first, last in ((b'k', b'l'), (b'a', b'b'), (b'\0', b'\0'), (b'l', b'k'), (b'k', b'\0')):
        c.call('KV/Txn', compare=[compare('VALUE', 'EQUAL', first, range_end=last, value=b'w')])
        c.call('KV/Txn', compare=[compare('VERSION', 'GREATER', first, range_end=last, version=0)])
        c.call('KV/Txn', compare=[compare('MOD', 'LESS', first, range_end=last, mod_revision=c.rev(3))])
    c.call('KV/Txn', compare=[pb.Compare(key=b'k')])
    c.call('KV/Txn', compare=[pb.Compare(key=b'absent', target=pb.Compare.VALUE)])
    c.call('KV/Txn', compare=[pb.Compare(key=b'')])


@case()
def operations(c):
    """Reads see the writes before them in the same transaction; one revision for all; nothing written spends none."""
    c.call('KV/Txn', success=[put(b'a', b'1'), get(b'a'), put(b'b', b'2'), get(b'\0', range_end=b'\0'), delete(b'c')])
    c.call('KV/Txn', success=[put(b'c', b'3'), put(b'd', b'4', prev_kv=True), delete(b'a', prev_kv=True)])
    c.call('KV/Txn', success=[get(b'a'), delete(b'absent')])
    c.call('KV/Txn', success=[delete(b'a', range_end=b'z', prev_kv=True), get(b'a', range_end=b'z')])
    c.call('KV/Txn', success=[delete(b'k'), put(b'k', b'again'), get(b'k')])
    c.call('KV/Txn', success=[put(b'k', b'1'), put(b'k', b'2')])
    c.call('KV/Txn', success=[put(b'k', b'1'), delete(b'a', range_end=b'z')])
    c.call('KV/Txn', success=[delete(b'a', range_end=b'z'), put(b'k', b'1')])
    c.call('KV/Txn', success=[delete(b'k'), delete(b'k')])
    c.call('KV/Txn')
    c.call('KV/Txn', success=[pb.RequestOp()])
    c.call('KV/Txn', success=[put(b'')])
    c.call('KV/Txn', success=[get(b'')])
    c.call('KV/Txn', success=[delete(b'')])
    c.call('KV/Txn', success=[put(b'k', b'v', ignore_value=True)])
    c.call('KV/Txn', success=[put(b'absent', ignore_value=True)])
    c.call('KV/Txn', success=[put(b'first', b'1'), put(b'absent', ignore_lease=True)])
    c.call('KV/Txn', success=[put(b'k', lease=424242)])
    c.call('KV/Txn', success=[get(b'k', revision=c.rev(1)), get(b'k', revision=c.rev(500))])
    c.call('KV/Txn', success=[put(b'k', b'x'), get(b'k', revision=c.rev(1))])
    c.call('KV/Range', key=b'\0', range_end=b'\0')


@case()
def nested(c):
    """Transactions in transactions: which branch, which revision, which keys collide."""
    c.alone(b'k', b'v')
    inner = dict(compare=[compare('VALUE', 'EQUAL', b'k', value=b'v')], success=[put(b'in', b'yes')], failure=[put(b'in', b'no')])
    c.call('KV/Txn', success=[txn(**inner), get(b'in')])
    c.call('KV/Txn', success=[put(b'k', b'changed'), txn(**inner), get(b'in')])
    c.call('KV/Txn', success=[put(b'in', b'outer'), txn(**inner)])
    c.call('KV/Txn', success=[txn(**inner), txn(**inner)])
    c.call('KV/Txn', success=[txn(success=[put(b'x')], failure=[put(b'x')])])
    c.call('KV/Txn', success=[delete(b'a', range_end=b'z'), txn(success=[put(b'x')])])
    c.call('KV/Txn', success=[txn(success=[delete(b'a', range_end=b'z')]), put(b'x')])
    c.call('KV/Txn', success=[txn(success=[txn(success=[txn(success=[put(b'deep', b'3'), get(b'deep')])])])])
    c.call('KV/Txn', success=[txn(success=[pb.RequestOp()])])
    c.call('KV/Txn', success=[txn()])
    c.call('KV/Range', key=b'\0', range_end=b'\0')


@case()
def too_many(c):
    """128 operations, not 129, counted as the largest of comparisons and branches, nested ones shared out."""
    puts = [put(b'k%d' % index) for index in range(200)]
    for count in (128, 129):
        c.call('KV/Txn', success=puts[:count], record=False)
        answer = c.call('KV/Txn', success=puts[:count], record=count > 128)
        c.note(f'{count}: {answer is not None}')
    for fields in (dict(compare=[compare('VERSION', 'EQUAL', b'k%d' % i) for i in range(129)]),
                   dict(success=[txn(success=puts[:128])]), dict(success=[txn(success=puts[:127])]),
                   dict(success=puts[:64] + [txn(success=puts[100:164])]),
                   dict(success=puts[:64] + [txn(success=puts[100:163])])):
        try:
            c.connection().call('KV/Txn', **fields)
            c.note('accepted')
        except grpc.RpcError as error:
            c.note(f'{error.code().name} {error.details()}')
