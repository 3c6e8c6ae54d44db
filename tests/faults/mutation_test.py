"""The checker against histories that were right and then broken, by chance: it accepts the first and refuses the second."""
import copy
import random
import unittest

from history import Event, Lease, Operation, check

SEEDS = range(25)
TTL = 3.0


class Truth:
    """A correct store that is driven by chance, and the history of its clients."""

    def __init__(self, seed):
        self.draw, self.time, self.revision = random.Random(seed), 0.0, 1
        self.state, self.log, self.operations, self.seen, self.leases = {}, [], [], {}, []
        for number in range(50):
            self.time += 1.0
            self.step(number)
        for lease in self.leases:
            self.time = max(self.time, lease.confirmed + lease.ttl) + 0.1
            self.change(lease.key, None)
            lease.gone = self.time
        self.watches = [(1, list(self.log)), (self.log[10].revision, self.log[10:-5])]

    def change(self, key, value):
        """Applies a write now."""
        self.revision += 1
        self.state[key] = value
        self.log.append(Event(self.revision, key, value))
        self.seen[self.revision] = self.time

    def step(self, number):
        """One operation, or a few that overlap with it."""
        kind, key = self.draw.choice(['put', 'put', 'get', 'get', 'delete', 'lost', 'lease']), self.draw.choice('abc')
        start, end = self.time - self.draw.uniform(0, 2.0), self.time + self.draw.uniform(0, 2.0)
        if kind == 'lease':
            key = f'lease{number}'
            self.change(key, f'v{number}')
            self.operations.append(Operation('put', key, start, end, 'ok', f'v{number}', self.revision))
            self.leases.append(Lease(key, TTL, confirmed=start))
        elif kind == 'get':
            self.operations.append(Operation('get', key, start, end, 'ok', self.state.get(key), self.revision))
        elif kind == 'delete':
            if self.state.get(key) is not None:
                self.change(key, None)
            self.operations.append(Operation('delete', key, start, end, 'ok', None, self.revision))
        elif kind == 'lost' and self.draw.random() < 0.5:
            self.operations.append(Operation('put', key, start, end, 'refused', f'v{number}', 0))
        else:
            self.change(key, f'v{number}')
            outcome = 'ok' if kind == 'put' else 'unknown'
            self.operations.append(Operation('put', key, start, end, outcome, f'v{number}', self.revision if outcome == 'ok' else 0))

    def faults(self):
        """What the checker says."""
        return check(self.operations, self.log, self.watches, self.leases, self.seen)

    def some(self, condition):
        """An operation that meets a condition."""
        return self.draw.choice([operation for operation in self.operations if condition(operation)])


def acknowledged(operation):
    """A put that was."""
    return operation.kind == 'put' and operation.outcome == 'ok'


def lose_a_write(truth):
    """An acknowledged write disappears from the log and from all watches."""
    gone = truth.some(acknowledged).revision
    truth.log = [event for event in truth.log if event.revision != gone]
    truth.watches = [(first, [event for event in events if event.revision != gone]) for first, events in truth.watches]


def invent_a_write(truth):
    """Something is there that nobody wrote."""
    truth.log.append(Event(truth.revision + 1, 'a', 'nobody'))


def do_a_refused_write(truth):
    """What was refused is there."""
    truth.operations.append(Operation('put', 'a', truth.time, truth.time + 9, 'refused', 'refused', 0))
    truth.log.append(Event(truth.revision + 1, 'a', 'refused'))


def do_a_write_twice(truth):
    """A value comes a second time."""
    truth.log.append(Event(truth.revision + 1, truth.log[3].key, next(e.value for e in truth.log if e.value is not None)))


def swap_two_writes(truth):
    """Two neighbours of the log change places and keep their revisions."""
    place = truth.draw.choice([i for i in range(len(truth.log) - 1) if truth.log[i].value is not None and
                               any(o.value == truth.log[i].value and acknowledged(o) for o in truth.operations)])
    one, two = truth.log[place], truth.log[place + 1]
    truth.log[place:place + 2] = [Event(one.revision, two.key, two.value), Event(two.revision, one.key, one.value)]


def go_back_in_the_log(truth):
    """Two neighbours of the log change places with their revisions."""
    place = truth.draw.randrange(len(truth.log) - 1)
    truth.log[place:place + 2] = reversed(truth.log[place:place + 2])


def read_an_old_value(truth):
    """A read has the newest revision and a value from before."""
    read = truth.some(lambda operation: operation.kind == 'get')
    read.value = 'older' if read.value is None else None


def read_the_past(truth):
    """A read is answered consistently, from a revision older than one that was acknowledged before it began."""
    written = truth.some(acknowledged)
    value = None
    for event in truth.log:
        if event.revision < written.revision and event.key == 'a':
            value = event.value
    truth.operations.append(Operation('get', 'a', written.end + 0.1, written.end + 0.2, 'ok', value, written.revision - 1))


def write_into_the_past(truth):
    """A write is placed before one that had been acknowledged when it began."""
    operation = truth.some(acknowledged)
    operation.start = truth.time + 10
    operation.end = truth.time + 11
    truth.operations.append(Operation('get', 'b', truth.time + 5, truth.time + 6, 'ok', truth.state.get('b'), truth.revision))


def lose_an_event(truth):
    """A watch misses a change between two that it got."""
    events = truth.draw.choice(truth.watches)[1]
    del events[truth.draw.randrange(len(events) - 1)]


def repeat_an_event(truth):
    """A watch gets a change twice."""
    events = truth.draw.choice(truth.watches)[1]
    place = truth.draw.randrange(len(events))
    events.insert(place, events[place])


def reorder_events(truth):
    """A watch gets two changes in the wrong order."""
    events = truth.draw.choice(truth.watches)[1]
    place = truth.draw.randrange(len(events) - 1)
    events[place:place + 2] = reversed(events[place:place + 2])


def tell_another_value(truth):
    """A watch is told a value that is not the one written."""
    events = truth.draw.choice(truth.watches)[1]
    place = truth.draw.randrange(len(events))
    events[place] = Event(events[place].revision, events[place].key, 'other')


def tell_what_was_taken_back(truth):
    """A watch is told a change that is not in the log."""
    truth.watches[0][1].append(Event(truth.revision + 1, 'a', 'taken back'))


def end_a_lease_early(truth):
    """A lease is over before its term."""
    lease = truth.draw.choice(truth.leases)
    lease.confirmed = truth.seen[next(e.revision for e in truth.log if e.key == lease.key and e.value is None)] - TTL + 0.2


def keep_a_lease(truth):
    """A lease never ends."""
    lease = truth.draw.choice(truth.leases)
    truth.log = [event for event in truth.log if event.key != lease.key or event.value is not None]
    truth.watches = []


def delete_by_nobody(truth):
    """A key disappears that nobody deleted and that has no lease."""
    truth.log.append(Event(truth.revision + 1, 'd', None))


MUTATIONS = [lose_a_write, invent_a_write, do_a_refused_write, do_a_write_twice, swap_two_writes, go_back_in_the_log, read_an_old_value,
             read_the_past, write_into_the_past, lose_an_event, repeat_an_event, reorder_events, tell_another_value,
             tell_what_was_taken_back, end_a_lease_early, keep_a_lease, delete_by_nobody]


class Mutations(unittest.TestCase):
    """Each kind of damage, on many histories."""

    def test_accepts_every_correct_history(self):
        """No false alarm."""
        for seed in SEEDS:
            self.assertEqual(Truth(seed).faults(), [], f'seed {seed}')

    def test_refuses_every_broken_history(self):
        """Each damage is found, wherever it strikes."""
        for seed in SEEDS:
            truth = Truth(seed)
            for mutation in MUTATIONS:
                broken = copy.deepcopy(truth)
                mutation(broken)
                self.assertTrue(broken.faults(), f'seed {seed}: {mutation.__name__} was not found')


if __name__ == '__main__':
    unittest.main()
