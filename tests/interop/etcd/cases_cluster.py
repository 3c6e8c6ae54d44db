"""Cases: membership, leadership, and what a cluster says of itself."""
import json
import re
import time

import grpc

from case import case, pb


def names(c, answer):
    """Members of an answer in the order of their names, without ids' order showing."""
    for member in sorted(answer.members, key=lambda m: (m.name, list(m.peerURLs))):
        c.note_value('member', c.names.message(member))


def leader_of(c):
    """The number of the node that leads."""
    for number in range(1, len(c.cluster.nodes) + 1):
        status = c.connection(number).call('Maintenance/Status')
        if status.leader == status.header.member_id:
            return number
    return 0


def await_started(c, node):
    """Waits until a node that was added serves."""
    c.cluster.await_ready([node])


@case()
def ctl_member_list(c):
    """The list in each format."""
    c.ctl('member', 'list', sort=True)
    text = c.ctl('member', 'list', '-w', 'json', record=False)
    for member in sorted(json.loads(text)['members'], key=lambda m: m['name']):
        c.note_value('member', c.names.tree(member))
    c.ctl('member', 'list', 'surplus', sort=True)
    for node in (1, 2, 3):
        names(c, c.connection(node).call('Cluster/MemberList'))


@case()
def ctl_endpoint(c):
    """health, status and hashkv of each node."""
    c.alone(b'k', b'v')
    everyone = c.cluster.endpoints
    c.ctl('endpoint', 'health')
    c.ctl('endpoint', 'health', '--cluster', sort=True, endpoints=everyone)
    c.ctl('endpoint', 'health', endpoints=[c.cluster.endpoints[0], '127.0.3.77:2379'], sort=True)
    for form in ('simple', 'fields', 'json'):
        text = c.ctl('endpoint', 'status', '-w', form, record=False)
        leader = str(leader_of(c) == 1).lower()
        text = re.sub(rf'\b{leader}, (true|false)', '<leads>, \\1', text) if form == 'simple' else text
        text = re.sub(r', \d+, \d+, \d+, ', ', <term>, <index>, <index>, ', text)
        try:
            found = json.loads(text)
            found[0]['Status']['leader'] = 'asked for elsewhere'
            c.note_value('status', c.names.tree(found))
        except ValueError:
            c.note(re.sub(r'"Leader" : \d+', '"Leader" : asked for elsewhere', text))
    hashes = c.ctl('endpoint', 'hashkv', '--cluster', endpoints=everyone, record=False)
    c.note(f'hashes: {len(hashes.splitlines())}, distinct: {len({text.split(",")[1] for text in hashes.splitlines()})}')


@case()
def status(c):
    """Status of each node: who leads is the same everywhere."""
    answers = [c.connection(node).call('Maintenance/Status') for node in (1, 2, 3)]
    c.note(f'leaders: {len({answer.leader for answer in answers})}, terms: {len({answer.raftTerm for answer in answers})}')
    for answer in answers:
        answer.leader = answer.header.member_id
        answer.raftIndex = answer.raftIndex and 1
        answer.raftAppliedIndex = answer.raftAppliedIndex and 1
        c.note_value('status', c.names.message(answer))


@case()
def move_leader(c):
    """Leadership goes where it is told, and only the leader may send it."""
    leader = leader_of(c)
    target, other = [number for number in (1, 2, 3) if number != leader]
    ids = {number: c.connection(number).call('Maintenance/Status').header.member_id for number in (1, 2, 3)}
    c.ctl('move-leader', f'{ids[target]:x}', node=other, record=False)
    c.call('Maintenance/MoveLeader', node=other, targetID=ids[target], record=False)
    try:
        c.connection(other).call('Maintenance/MoveLeader', targetID=ids[target])
        c.note('a follower moved the leader')
    except grpc.RpcError as error:
        c.note(f'{error.code().name} {error.details()}')
    for strange in (1234, 0):
        try:
            c.connection(leader).call('Maintenance/MoveLeader', targetID=strange)
            c.note('moved to a stranger')
        except grpc.RpcError as error:
            c.note(f'{error.code().name} {error.details()}')
    text = c.ctl('move-leader', f'{ids[target]:x}', endpoints=c.cluster.endpoints, record=False)
    c.note(re.sub('[0-9a-f]{8,}', '<member>', text))
    c.note(f'the target leads: {leader_of(c) == target}')
    c.call('KV/Put', key=b'after', value=b'move')
    c.ctl('move-leader')
    c.ctl('move-leader', 'xyz')


@case()
def member_refusals(c):
    """Changes of the membership that must not be."""
    time.sleep(6)  # Until its members have been connected for 5 s, etcd refuses for that reason first.
    c.ctl('member', 'remove', '1234')
    c.ctl('member', 'remove')
    c.ctl('member', 'update', '1234', '--peer-urls=http://127.0.3.9:2380')
    c.ctl('member', 'update', 'xyz')
    c.ctl('member', 'promote', '1234')
    c.ctl('member', 'add', 'x')
    c.ctl('member', 'add', 'x', '--peer-urls=not a url')
    taken = c.cluster.peer_url(c.cluster.nodes[1])
    for fields in (dict(peerURLs=[taken]), dict(peerURLs=[]), dict(peerURLs=['nonsense']), dict(peerURLs=['http://127.0.3.9'])):
        c.call('Cluster/MemberAdd', **fields)
    voter = c.connection(2).call('Maintenance/Status').header.member_id
    c.call('Cluster/MemberPromote', ID=voter)
    c.call('Cluster/MemberPromote', ID=99)
    c.call('Cluster/MemberRemove', ID=99)
    c.call('Cluster/MemberUpdate', ID=99, peerURLs=['http://127.0.3.9:2380'])
    c.call('Cluster/MemberUpdate', ID=voter, peerURLs=[c.cluster.peer_url(c.cluster.nodes[0])])
    names(c, c.connection().call('Cluster/MemberList'))


@case('single')
def ids(c):
    """A cluster and its only member have different ids, which a restart does not change."""
    seen = []
    for _ in range(2):
        header = c.connection().call('KV/Range', key=b'k').header
        seen.append((header.cluster_id, header.member_id))
        c.cluster.nodes[0].stop()
        c.cluster.nodes[0].start()
        c.cluster.await_ready()
        c.connections.clear()
    c.note(f'cluster and member differ: {seen[0][0] != seen[0][1]}; they stay: {seen[0] == seen[1]}')


@case('fresh', nodes=3)
def grow_and_shrink(c):
    """A fourth member is added, started, updated, removed; writes go on."""
    c.alone(b'before', b'1')
    time.sleep(6)  # etcd refuses changes of the membership until all members have been connected for 5 s.
    address = c.cluster.nodes[0].address.rsplit('.', 1)[0] + '.14'
    node = c.cluster.make_node(4, address)
    out = c.ctl('member', 'add', 'node4', f'--peer-urls={c.cluster.peer_url(node)}', record=False)
    initial = re.search('ETCD_INITIAL_CLUSTER="(.*)"', out)
    c.note(re.sub('Member +[0-9a-f]+ added to cluster +[0-9a-f]+', 'Member <id> added to cluster <cluster>',
                  out.splitlines()[0] if out else ''))
    c.note(sorted(initial[1].split(',')) if initial else 'no initial cluster was told')
    c.ctl('member', 'add', 'node5', '--peer-urls=http://127.0.3.9:2380')
    names(c, c.connection().call('Cluster/MemberList'))
    node.flags.update({'initial-cluster': initial[1] if initial else '', 'initial-cluster-state': 'existing'})
    c.cluster.nodes.append(node)
    node.start()
    await_started(c, node)
    # It serves before everybody knows what it is called.
    c.until(lambda: all(member.name for member in c.connection().call('Cluster/MemberList').members))
    members = c.connection().call('Cluster/MemberList')
    c.names.learn_members(members)
    c.names.known.update(c.names.members)
    names(c, members)
    c.call('KV/Range', key=b'before', node=4)
    c.call('KV/Put', key=b'after', value=b'2', node=4)
    added = next(member for member in members.members if member.name == 'node4').ID
    c.call('Cluster/MemberRemove', ID=added, record=False)
    names(c, c.connection().call('Cluster/MemberList'))
    c.until(lambda: node.process.poll() is not None)
    c.note(f'the removed member has ended: {node.process.poll() is not None}')
    c.cluster.nodes.remove(node)
    node.stop()
    c.call('Cluster/MemberRemove', ID=added, record=False)
    c.call('KV/Range', key=b'after', node=2)


@case('single')
def learner(c):
    """A learner receives the data, refuses clients, is promoted when it has caught up."""
    for index in range(50):
        c.alone(b'k%d' % index, b'v')
    address = c.cluster.nodes[0].address.rsplit('.', 1)[0] + '.14'
    node = c.cluster.make_node(2, address)
    added = c.connection().call('Cluster/MemberAdd', peerURLs=[c.cluster.peer_url(node)], isLearner=True)
    names(c, added)
    c.names.known[added.member.ID] = '<learner>'
    c.call('Cluster/MemberPromote', ID=added.member.ID)
    c.call('Cluster/MemberAdd', peerURLs=['http://127.0.3.9:2380'], isLearner=True)
    node.flags.update({'initial-cluster': f'{c.cluster.nodes[0].flags["initial-cluster"]},node2={c.cluster.peer_url(node)}',
                       'initial-cluster-state': 'existing'})
    c.cluster.nodes.append(node)
    node.start()
    c.until(lambda: c.is_listening(2))
    everything = dict(key=b'k', range_end=b'l', count_only=True, serializable=True)
    c.until(lambda: getattr(c.call('KV/Range', **everything, node=2, record=False), 'count', 0) == 50)
    c.call('KV/Range', key=b'k0', node=2)
    c.call('KV/Range', key=b'k0', serializable=True, node=2)
    c.call('KV/Put', key=b'k', node=2)
    c.call('KV/Txn', node=2)
    c.call('Lease/LeaseGrant', TTL=10, ID=5, node=2)
    c.call('Cluster/MemberList', node=2, record=False)
    c.call('Maintenance/Alarm', node=2)
    c.note(f'learner: {c.connection(2).call("Maintenance/Status").isLearner}')
    c.call('Maintenance/MoveLeader', targetID=added.member.ID)
    c.until(lambda: c.call('Cluster/MemberPromote', ID=added.member.ID, record=False))
    names(c, c.connection().call('Cluster/MemberList'))
    c.call('Cluster/MemberPromote', ID=added.member.ID)
    # The promotion is acknowledged when the leader has it; the new voter learns of it a moment later, on both systems.
    c.until(lambda: not c.connection(2).call('Maintenance/Status').isLearner)
    c.call('KV/Put', key=b'k', value=b'by the new voter', node=2)
    c.note(f'learner: {c.connection(2).call("Maintenance/Status").isLearner}')


@case('fresh', nodes=3)
def lose_one(c):
    """With one of three gone, everything goes on; it comes back and has all of it."""
    c.alone(b'k', b'1')
    leader = leader_of(c)
    c.cluster.nodes[leader - 1].kill()
    other = leader % 3 + 1
    c.until(lambda: c.call('KV/Put', key=b'k', value=b'2', node=other, record=False))
    answer = c.call('KV/Range', key=b'k', node=other, record=False)
    c.note(f'{answer.kvs[0].value}')
    health = c.ctl('endpoint', 'health', endpoints=[c.cluster.endpoints[leader - 1], c.cluster.endpoints[other - 1]], record=False)
    c.note(f'{health.count("is healthy")} healthy')
    c.cluster.nodes[leader - 1].start()
    c.cluster.await_ready()
    answer = c.connection(leader).method('KV/Range')(pb.RangeRequest(key=b'k'), timeout=10, wait_for_ready=True)
    c.note(f'{answer.kvs[0].value}')


@case('fresh', nodes=3)
def no_quorum(c):
    """With two of three gone, writes and linearizable reads fail; serializable reads are answered."""
    c.alone(b'k', b'1')
    for node in c.cluster.nodes[1:]:
        node.kill()
    time.sleep(3)
    for method, fields in (('KV/Put', dict(key=b'k', value=b'2')), ('KV/Range', dict(key=b'k')), ('KV/Txn', {}),
                           ('Lease/LeaseGrant', dict(TTL=10, ID=7))):
        answer = c.call(method, record=False, **fields)
        c.note(f'{method}: answered: {answer is not None}')
    answer = c.call('KV/Range', key=b'k', serializable=True, record=False)
    c.note(answer.kvs[0].value if answer else 'no answer')
    status, text = c.http('/health', record=False)
    c.note(f'{status} {text}')
