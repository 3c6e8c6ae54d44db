"""Cases: users, roles, permissions, tokens."""
import grpc

from case import case, pb


def set_up(c):
    """root, and a user alice who may read a/ and write a/w, with authentication on."""
    for words in (['user', 'add', 'root:rootpw'], ['role', 'add', 'root'], ['user', 'grant-role', 'root', 'root'],
                  ['user', 'add', 'alice:alicepw'], ['role', 'add', 'reader'],
                  ['role', 'grant-permission', 'reader', 'read', 'a/', '--prefix'],
                  ['role', 'grant-permission', 'reader', 'write', 'a/w'], ['user', 'grant-role', 'alice', 'reader'],
                  ['auth', 'enable']):
        c.ctl(*words, record=False)
    c.user = 'root:rootpw'


@case('single')
def ctl_cycle(c):
    """The whole life of users and roles with etcdctl, in the order of etcd's own guide."""
    c.ctl('auth', 'enable')
    c.ctl('user', 'add', 'root', '--interactive=false', stdin='rootpw\n')
    c.ctl('auth', 'enable')
    c.ctl('role', 'add', 'root')
    c.ctl('user', 'grant-role', 'root', 'root')
    c.ctl('user', 'add', 'alice:secret')
    c.ctl('user', 'add', 'alice:other')
    c.ctl('user', 'add', 'nopw', '--no-password')
    c.ctl('user', 'add', '')
    c.ctl('role', 'add', 'r1')
    c.ctl('role', 'add', 'r1')
    c.ctl('role', 'add', '')
    for words in (['read', 'k'], ['write', 'a', 'f'], ['readwrite', 'p/', '--prefix'], ['readwrite', 'z', '--from-key'],
                  ['read', 'a', 'f'], ['paint', 'x'], ['read'], ['read', 'b', 'a']):
        c.ctl('role', 'grant-permission', 'r1', *words)
    c.ctl('role', 'get', 'r1')
    c.ctl('role', 'get', 'r1', '-w', 'json')
    c.ctl('role', 'get', 'absent')
    c.ctl('role', 'grant-permission', 'absent', 'read', 'k')
    c.ctl('user', 'grant-role', 'alice', 'r1')
    c.ctl('user', 'grant-role', 'alice', 'absent')
    c.ctl('user', 'grant-role', 'bob', 'r1')
    c.ctl('user', 'get', 'alice')
    c.ctl('user', 'get', 'alice', '--detail')
    c.ctl('user', 'get', 'bob')
    c.ctl('user', 'list')
    c.ctl('role', 'list')
    c.ctl('user', 'list', '-w', 'json')
    c.ctl('auth', 'enable')
    c.ctl('get', 'k')
    c.ctl('user', 'list')
    use_and_take_away(c)


def use_and_take_away(c):
    """The second half of the cycle: what alice may do, until nobody is left and authentication is off."""
    c.user = 'alice:secret'
    for words in (['get', 'k'], ['get', 'b'], ['put', 'b', 'v'], ['put', 'k', 'v'], ['put', 'p/x', 'v'], ['get', 'p/', '--prefix'],
                  ['get', 'p', '--prefix'], ['del', 'p/', '--prefix'], ['del', 'z', '--from-key'], ['del', 'y', '--from-key'],
                  ['user', 'list'], ['user', 'get', 'alice'], ['user', 'get', 'root'], ['role', 'get', 'r1'], ['role', 'list'],
                  ['member', 'list', '-w', 'simple'], ['auth', 'disable'], ['compaction', '1'], ['defrag'], ['alarm', 'list'],
                  ['lease', 'grant', '100'], ['snapshot', 'save', 'x.db'], ['put', 'b', 'v', '--prev-kv']):
        c.ctl(*words)
    c.user = 'root:rootpw'
    c.ctl('role', 'revoke-permission', 'r1', 'a', 'f')
    c.ctl('role', 'revoke-permission', 'r1', 'a', 'f')
    c.ctl('role', 'revoke-permission', 'r1', 'p/', '--prefix')
    c.ctl('user', 'passwd', 'alice', '--interactive=false', stdin='new\n')
    c.ctl('user', 'passwd', 'bob', '--interactive=false', stdin='new\n')
    c.user = 'alice:secret'
    c.ctl('get', 'k')
    c.user = 'alice:new'
    c.ctl('get', 'k')
    c.ctl('put', 'b', 'v')
    c.user = 'root:rootpw'
    c.ctl('user', 'revoke-role', 'alice', 'r1')
    c.ctl('user', 'revoke-role', 'alice', 'r1')
    c.ctl('user', 'revoke-role', 'root', 'root')
    c.ctl('user', 'delete', 'root')
    c.ctl('role', 'delete', 'root')
    c.ctl('role', 'delete', 'r1')
    c.ctl('role', 'delete', 'r1')
    c.ctl('user', 'delete', 'alice')
    c.ctl('user', 'delete', 'alice')
    c.user = 'nobody:pw'
    c.ctl('get', 'k')
    c.user = 'root:wrong'
    c.ctl('get', 'k')
    c.user = 'nopw:x'
    c.ctl('get', 'k')
    c.user = 'root:rootpw'
    c.ctl('auth', 'disable')
    c.user = None
    c.ctl('get', 'k')
    c.ctl('auth', 'disable')


@case('single')
def gate(c):
    """Every path to a key asks for permission: transactions, comparisons, previous values, watches."""
    set_up(c)
    for key in ('a/1', 'a/w', 'secret'):
        c.ctl('put', key, f'value of {key}', record=False)
    c.user = None
    token = c.call('Auth/Authenticate', name='alice', password='alicepw', record=False).token
    op = lambda **fields: pb.RequestOp(**{f'request_{kind}': value for kind, value in fields.items()})
    put = lambda key, **fields: op(put=pb.PutRequest(key=key, value=b'v', **fields))
    get = lambda key, **fields: op(range=pb.RangeRequest(key=key, **fields))
    delete = lambda key, **fields: op(delete_range=pb.DeleteRangeRequest(key=key, **fields))
    for ops in ([get(b'a/1')], [get(b'secret')], [put(b'a/w')], [put(b'a/1')], [put(b'a/w', prev_kv=True)], [delete(b'a/w')],
                [delete(b'a/w', prev_kv=True)], [delete(b'secret', prev_kv=True)], [get(b'a/', range_end=b'b')],
                [get(b'\0', range_end=b'\0')]):
        c.call('KV/Txn', token=token, success=ops)
        c.call('KV/Txn', token=token, compare=[pb.Compare(key=b'a/1', version=77)], success=ops)
    for key, end in ((b'secret', b''), (b'a/1', b''), (b'a/', b'a0'), (b'a', b'b')):
        c.call('KV/Txn', token=token, compare=[pb.Compare(key=key, range_end=end)])
    for fields in (dict(key=b'secret'), dict(key=b'a/1'), dict(key=b'a/', range_end=b'a0'), dict(key=b'a/', range_end=b'\0'),
                   dict(key=b'\0', range_end=b'\0'), dict(key=b'secret', count_only=True), dict(key=b'secret', serializable=True)):
        c.call('KV/Range', token=token, **fields)
    for fields in (dict(key=b'a/w'), dict(key=b'a/w', prev_kv=True), dict(key=b'a/1'), dict(key=b'absent')):
        c.call('KV/Put', token=token, value=b'v', **fields)
        c.call('KV/DeleteRange', token=token, **fields)
    for request in (dict(key=b'a/1'), dict(key=b'secret'), dict(key=b'a/', range_end=b'a0'), dict(key=b'a/1', range_end=b'z')):
        stream = c.open_stream('Watch/Watch', token=token)
        stream.send(create_request=pb.WatchCreateRequest(**request))
        stream.take(1)
        stream.close()


@case('single', instead_of_oracle=['refused'] * 6)
def gate_of_nested_transactions(c):
    """Transactions in transactions ask for permission too. etcd 3.4 lets them pass (CVE-2026-33343), so it is no oracle here."""
    set_up(c)
    c.ctl('put', 'secret', 'v', record=False)
    c.user = None
    token = c.call('Auth/Authenticate', name='alice', password='alicepw', record=False).token
    nest = lambda *operations: pb.RequestOp(request_txn=pb.TxnRequest(success=operations))
    inner = (pb.RequestOp(request_range=pb.RangeRequest(key=b'secret')), pb.RequestOp(request_put=pb.PutRequest(key=b'secret')),
             pb.RequestOp(request_delete_range=pb.DeleteRangeRequest(key=b'secret')))
    for operation in inner:
        for request in ([nest(operation)], [nest(nest(nest(operation)))]):
            answer = c.call('KV/Txn', token=token, success=request, record=False)
            c.note('refused' if answer is None else 'answered')


@case('single', instead_of_oracle=['-1 rpc error: code = PermissionDenied desc = etcdserver: permission denied'])
def gate_of_open_watches(c):
    """A right to a prefix is none to everything after it. etcd 3.4 lets such a watch pass (GHSA-xg4h-6gfc-h4m8)."""
    set_up(c)
    c.user = None
    token = c.call('Auth/Authenticate', name='alice', password='alicepw', record=False).token
    stream = c.open_stream('Watch/Watch', token=token)
    stream.send(create_request=pb.WatchCreateRequest(key=b'a/', range_end=b'\0'))
    c.lines.clear()
    for answer in stream.take(1, record=False):
        c.note(f'{answer.watch_id} {answer.cancel_reason}')


@case('single')
def leases_under_auth(c):
    """Attaching to, revoking and asking for leases that hold others' keys."""
    set_up(c)
    c.ctl('lease', 'list', record=False)
    c.user = None
    root = c.call('Auth/Authenticate', name='root', password='rootpw', record=False).token
    alice = c.call('Auth/Authenticate', name='alice', password='alicepw', record=False).token
    for lease, key in ((5, b'secret'), (6, b'a/w')):
        c.call('Lease/LeaseGrant', TTL=100, ID=lease, token=root)
        c.call('KV/Put', key=key, value=b'v', lease=lease, token=root)
    c.call('KV/Put', key=b'a/w', value=b'v', lease=5, token=alice)
    c.call('Lease/LeaseRevoke', ID=5, token=alice)
    c.call('Lease/LeaseTimeToLive', ID=5, keys=True, token=alice, record=False)
    c.call('Lease/LeaseRevoke', ID=6, token=alice)
    c.call('Lease/LeaseRevoke', ID=5)
    c.call('Lease/LeaseGrant', TTL=100, ID=7)
    c.call('Lease/LeaseGrant', TTL=100, ID=8, token='nonsense')


@case('single')
def every_call_without_a_token(c):
    """With authentication on, each RPC as nobody and as a user without rights."""
    set_up(c)
    c.user = None
    token = c.call('Auth/Authenticate', name='alice', password='alicepw', record=False).token
    calls = [('KV/Range', dict(key=b'k')), ('KV/Put', dict(key=b'k')), ('KV/DeleteRange', dict(key=b'k')), ('KV/Txn', {}),
             ('KV/Compact', dict(revision=1)), ('Lease/LeaseGrant', dict(TTL=50, ID=70)),
             ('Lease/LeaseRevoke', dict(ID=71)), ('Lease/LeaseLeases', {}), ('Cluster/MemberList', {}),
             ('Cluster/MemberAdd', dict(peerURLs=['http://127.0.3.9:2380'])), ('Cluster/MemberRemove', dict(ID=5)),
             ('Cluster/MemberUpdate', dict(ID=5, peerURLs=['http://127.0.3.9:2380'])), ('Cluster/MemberPromote', dict(ID=5)),
             ('Maintenance/Alarm', {}), ('Maintenance/Defragment', {}),
             ('Maintenance/Hash', {}), ('Maintenance/HashKV', {}), ('Maintenance/MoveLeader', dict(targetID=5)),
             ('Auth/AuthEnable', {}), ('Auth/UserAdd', dict(name='x', password='y')),
             ('Auth/UserGet', dict(name='alice')), ('Auth/UserGet', dict(name='root')), ('Auth/UserList', {}),
             ('Auth/UserDelete', dict(name='x')), ('Auth/UserChangePassword', dict(name='alice', password='alicepw')),
             ('Auth/UserGrantRole', dict(user='x', role='y')), ('Auth/UserRevokeRole', dict(name='x', role='y')),
             ('Auth/RoleAdd', dict(name='x')), ('Auth/RoleGet', dict(role='reader')), ('Auth/RoleGet', dict(role='root')),
             ('Auth/RoleList', {}), ('Auth/RoleDelete', dict(role='x')),
             ('Auth/RoleGrantPermission', dict(name='x', perm=dict(key=b'k'))),
             ('Auth/RoleRevokePermission', dict(role='x', key=b'k')),
             ('Auth/AuthDisable', {})]  # Raising an alarm is left out: under one, etcd 3.4 asks nobody for rights.
    for method, fields in calls:
        for who in (None, 'nonsense.1', token):
            label = f'{method} {sorted(fields)} as {"alice" if who == token else who or "nobody"}:'
            try:
                c.connection().call(method, metadata=[('token', who)] if who else None, **fields)
                c.note(f'{label} answered')
            except grpc.RpcError as error:
                c.note(f'{label} {error.code().name} {error.details()}')
    c.call('Auth/Authenticate', name='alice', password='wrong')
    c.call('Auth/Authenticate', name='', password='')
    c.call('Auth/Authenticate', name='nobody', password='')


@case('single')
def changes_invalidate(c):
    """A token lives through changes of rights that concern others, and rights taken away are gone at once."""
    set_up(c)
    c.user = None
    root = c.call('Auth/Authenticate', name='root', password='rootpw', record=False).token
    alice = c.call('Auth/Authenticate', name='alice', password='alicepw', record=False).token
    c.call('KV/Range', key=b'a/1', token=alice)
    c.call('Auth/RoleGrantPermission', name='reader', perm=dict(key=b'new', permType=2), token=root)
    c.call('KV/Put', key=b'new', token=alice)
    alice = c.call('Auth/Authenticate', name='alice', password='alicepw', record=False).token
    c.call('KV/Put', key=b'new', token=alice)
    c.call('Auth/UserRevokeRole', name='alice', role='reader', token=root)
    alice = c.call('Auth/Authenticate', name='alice', password='alicepw', record=False).token
    c.call('KV/Put', key=b'new', token=alice)
    c.call('KV/Range', key=b'a/1', token=alice)
    c.call('Auth/UserDelete', name='alice', token=root)
    c.call('KV/Range', key=b'a/1', token=alice)


@case('fresh', nodes=3)
def on_all_nodes(c):
    """Users made on one node log in on another, with a token that holds there."""
    set_up(c)
    c.user = None
    for node in (1, 2, 3):
        token = c.call('Auth/Authenticate', name='alice', password='alicepw', node=node, record=False).token
        c.call('KV/Range', key=b'a/1', token=token, node=node)
        c.call('KV/Put', key=b'a/1', token=token, node=node)
        c.call('KV/Put', key=b'a/w', token=token, node=node)
    c.user = 'alice:alicepw'
    c.ctl('put', 'a/w', 'v', endpoints=c.cluster.endpoints)
