"""What a server answered, in words that two clusters can share: ids become names, revisions count from the case's start."""
import base64
import json
import re

REVISIONS = {'revision', 'create_revision', 'mod_revision', 'compact_revision', 'compactRevision', 'hash_revision', 'rev',
             'Revision', 'CreateRevision', 'ModRevision', 'CompactRevision'}
VARYING = {'raft_term': '<term>', 'raftTerm': '<term>', 'raftIndex': '<index>', 'raftAppliedIndex': '<index>',
           'raft_index': '<index>', 'raft_applied_index': '<index>', 'RaftTerm': '<term>', 'RaftIndex': '<index>',
           'RaftAppliedIndex': '<index>', 'dbSize': '<size>', 'dbSizeInUse': '<size>', 'DBSize': '<size>',
           'hash': '<hash>', 'Hash': '<hash>', 'took': '<time>', 'remaining_bytes': '<size>', 'blob': '<octets>',
           'token': '<token>', 'authRevision': '<auth revision>'}
IDS = {'cluster_id', 'member_id', 'ID', 'id', 'leader', 'memberID', 'targetID', 'lease', 'Lease', 'ClusterID', 'MemberID'}
ID_MIN = 10 ** 9  # Smaller ones were chosen by the case and are the same everywhere.


class Revision(int):
    """A revision that a case names in a request: written into the transcript as its distance from the case's start."""

    def __new__(cls, base, distance):
        made = super().__new__(cls, base + distance)
        made.text = f'base{distance:+d}'
        return made


class Names:
    """Gives the ids of one cluster names, in the order in which they are first seen, and folds what may vary."""

    def __init__(self, cluster):
        self.cluster, self.base = cluster, 0
        self.known, self.members = {}, {}
        self.count, self.cluster_id = 0, 0

    def begin(self, base):
        """A new case: forgets the ids of the last one (members keep their names)."""
        self.base, self.count = base, 0
        self.known = dict(self.members)

    def learn_members(self, answer):
        """Names the members of a MemberListResponse, and the cluster."""
        self.cluster_id, self.members = answer.header.cluster_id, {}
        names = [node.name for node in self.cluster.nodes]
        for member in answer.members:
            number = names.index(member.name) + 1 if member.name in names else 'not started'
            self.members[member.ID] = f'<member {number}>'

    def id(self, number):
        """The name of an id."""
        if number < ID_MIN:
            return number
        if number == self.cluster_id and number not in self.members:
            return '<cluster>'
        if number not in self.known:
            self.count += 1
            self.known[number] = f'<id {self.count}>'
        return self.known[number]

    def revision(self, number):
        """A revision relative to the case's start; zero stays zero, which means none."""
        return number if number == 0 else f'base{number - self.base:+d}'

    def text(self, text):
        """A free text with addresses, folders, ids and times replaced."""
        text = text.replace(str(self.cluster.folder), '<folder>')
        for index, node in enumerate(self.cluster.nodes, 1):
            text = re.sub(rf'(?<![\d.]){re.escape(node.address)}(?!\d)', f'<node{index}>', text)
        text = text.replace(self.cluster.network.rsplit('.', 1)[0] + '.', '<network>.')
        text = re.sub(r'"(\w+)" : (\d+)', lambda m: f'"{m[1]}" : {self.field(m[1], int(m[2]))}', text)
        text = re.sub(r'\b(?=[0-9a-f]*\d)[0-9a-f]{12,16}\b|\b\d{13,20}\b', self.id_text, text)
        text = re.sub(r'took = [\d.]+[mµn]?s|took [\d.]+[mµn]?s|Took [\d.]+[mµn]?s', 'took <time>', text)
        return re.sub(r'\b\d+(\.\d+)? (kB|MB|B)\b', '<size>', text)

    def id_text(self, match):
        """The name of an id that stands in a text in decimal or, without 0x, in hexadecimal."""
        word = match[0]
        readings = [int(word, 10)] if word.isdigit() else []
        readings += [int(word, 16)] if len(word) <= 16 else []
        known = [number for number in readings if number in self.known]
        return str(self.id((known or readings)[0]))

    def field(self, name, value):
        """One field's value by its name."""
        if name in VARYING:
            return VARYING[name]
        if name in REVISIONS:
            return self.revision(int(value))
        if name in ('cluster_id', 'ClusterID') and int(value) == self.cluster_id:
            return '<cluster>'
        if name in IDS and str(value).lstrip('-').isdigit():
            return self.id(int(value))
        return value

    def tree(self, value, name=''):
        """A JSON value with everything replaced."""
        if isinstance(value, dict):
            return {key: self.tree(item, key) for key, item in value.items()}
        if isinstance(value, list):
            return [self.tree(item, name) for item in value]
        if isinstance(value, str) and name in ('key', 'keys') and value:
            return self.text(octets(value))
        value = self.field(name, value)
        return self.text(value) if isinstance(value, str) and not value.startswith(('<', 'base')) else value

    def message(self, message):
        """A protobuf message as a JSON-like value: bytes as text, fields that are not set left out."""
        found = {}
        for descriptor, value in message.ListFields():
            if descriptor.message_type:
                repeated = descriptor.label == descriptor.LABEL_REPEATED
                found[descriptor.name] = [self.message(v) for v in value] if repeated else self.message(value)
            elif descriptor.label == descriptor.LABEL_REPEATED:
                found[descriptor.name] = [self.scalar(descriptor, item) for item in value]
            else:
                found[descriptor.name] = self.scalar(descriptor, value)
        return found

    def scalar(self, descriptor, value):
        """A protobuf scalar."""
        if descriptor.enum_type:
            return descriptor.enum_type.values_by_number[value].name
        if isinstance(value, bytes):
            value = value.decode('latin-1')
        value = self.field(descriptor.name, value)
        return self.text(value) if isinstance(value, str) and not value.startswith(('<', 'base')) else value


def octets(text):
    """What base64 text stands for, if it is that."""
    try:
        return base64.b64decode(text, validate=True).decode('latin-1')
    except ValueError:
        return text


def line(value):
    """A normalised value as one line."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False)
