"""Tests of the checker: every kind of violation in a small history is found, and a correct history passes."""
import unittest

from history import Event, Lease, Operation, check


def put(key, value, start, end, revision, outcome='ok'):
    """A put."""
    return Operation('put', key, start, end, outcome, value, revision)


def get(key, value, start, end, revision):
    """A read."""
    return Operation('get', key, start, end, 'ok', value, revision)


GOOD = [put('a', '1', 0, 1, 2), put('a', '2', 2, 3, 3), put('b', '3', 2.5, 3.5, 4), get('a', '2', 4, 5, 4),
        put('a', '4', 5, 9, 0, 'unknown'), put('b', '5', 5, 6, 0, 'refused'), put('c', '6', 5, 9, 0, 'unknown'),
        Operation('delete', 'a', 10, 11, 'ok', None, 6), get('a', None, 12, 13, 6)]
LOG = [Event(2, 'a', '1'), Event(3, 'a', '2'), Event(4, 'b', '3'), Event(5, 'c', '6'), Event(6, 'a', None)]


class Checker(unittest.TestCase):
    """What the checker finds."""

    def finds(self, word, operations=None, log=None, watches=()):
        """There is a fault that has this word."""
        faults = check(GOOD if operations is None else operations, LOG if log is None else log, watches)
        self.assertTrue(any(word in fault for fault in faults), faults)

    def test_accepts_a_correct_history(self):
        """Unknown writes may be there or not."""
        self.assertEqual(check(GOOD, LOG, [(2, LOG), (4, LOG[2:4]), (9, [])]), [])

    def test_accepts_concurrent_writes_in_either_order(self):
        """Overlapping writes are not ordered by time."""
        operations = [put('a', '1', 0, 5, 3), put('a', '2', 0, 5, 2)]
        self.assertEqual(check(operations, [Event(2, 'a', '2'), Event(3, 'a', '1')]), [])

    def test_finds_a_lost_write(self):
        """An acknowledged write is missing."""
        self.finds('lost', log=LOG[:1] + LOG[2:])

    def test_finds_a_write_replaced_by_another(self):
        """At its revision there is something else."""
        self.finds('lost', log=[Event(2, 'a', '6'), *LOG[1:3], LOG[4]])

    def test_finds_a_write_applied_twice(self):
        """A retried write happened twice."""
        self.finds('twice', log=[*LOG, Event(7, 'a', '4'), Event(8, 'a', '4')])

    def test_finds_an_invented_write(self):
        """A value that nobody wrote, a value at another key, a deletion that nobody asked for."""
        self.finds('invented', log=[*LOG, Event(7, 'a', 'x')])
        self.finds('invented', log=[*LOG, Event(7, 'b', '4')])
        self.finds('invented', log=[*LOG, Event(7, 'b', None)])

    def test_finds_a_refused_write_that_happened(self):
        """Refused means not done."""
        self.finds('refused', log=[*LOG, Event(7, 'b', '5')])

    def test_finds_a_stale_read(self):
        """A read that began after a write was acknowledged does not see it."""
        self.finds('order', operations=[*GOOD, get('a', '1', 20, 21, 2)])

    def test_finds_a_read_of_the_wrong_value(self):
        """The revision is new and the value is old."""
        self.finds('read', operations=[*GOOD, get('b', None, 20, 21, 6)])

    def test_finds_a_read_that_goes_back(self):
        """Two reads, the later one at an earlier revision."""
        self.finds('order', operations=[put('a', '1', 0, 9, 3), put('b', '2', 0, 9, 2), get('a', '1', 1, 2, 3), get('b', '2', 3, 4, 2)],
                   log=[Event(2, 'b', '2'), Event(3, 'a', '1')])

    def test_finds_writes_out_of_real_time_order(self):
        """The later write has the earlier revision."""
        self.finds('order', operations=[put('a', '1', 0, 1, 3), put('a', '2', 2, 3, 2)],
                   log=[Event(2, 'a', '2'), Event(3, 'a', '1')])

    def test_finds_an_unknown_write_placed_before_its_time(self):
        """A write of unknown outcome cannot have happened before it was asked for."""
        self.finds('order', operations=[put('a', '1', 0, 1, 3), put('a', '2', 2, 3, 0, 'unknown')],
                   log=[Event(2, 'a', '2'), Event(3, 'a', '1')])

    def test_finds_two_writes_with_one_revision(self):
        """A revision names one write."""
        self.finds('order', operations=[put('a', '1', 0, 1, 2), put('a', '2', 2, 3, 2)], log=[Event(2, 'a', '1')])

    def test_finds_a_log_that_goes_back(self):
        """Revisions ascend."""
        self.finds('after', log=[LOG[1], LOG[0], *LOG[2:]])

    def test_finds_a_gap_in_a_watch(self):
        """A change was not told."""
        self.finds('watch 0', watches=[(2, LOG[:1] + LOG[2:])])
        self.finds('watch 1', watches=[(2, LOG), (2, LOG[1:])])

    def test_finds_disorder_and_doubles_in_a_watch(self):
        """Each change once, in order."""
        self.finds('watch', watches=[(2, [LOG[1], LOG[0], *LOG[2:]])])
        self.finds('watch', watches=[(2, [LOG[0], *LOG])])

    def test_finds_a_change_only_a_watch_saw(self):
        """What was told and is not in the log was taken back."""
        self.finds('watch', watches=[(2, [*LOG, Event(7, 'c', 'x')])])


class Leases(unittest.TestCase):
    """What the checker finds about leases."""

    LOG = [Event(2, 'l', '1'), Event(3, 'l', None)]
    WRITES = [put('l', '1', 0, 1, 2)]

    def faults(self, lease, seen, log=None):
        """The faults of a history with one lease of 10 s."""
        return check(self.WRITES, self.LOG if log is None else log, [], [lease], {3: seen})

    def test_accepts_an_expiry_after_the_term(self):
        """The term is counted from the beginning of the last answered renewal."""
        self.assertEqual(self.faults(Lease('l', 10, confirmed=5, gone=16), 15.1), [])

    def test_accepts_a_revocation_before_the_term(self):
        """Who revokes does not wait."""
        for revocation in ('asked', 'ok'):
            self.assertEqual(self.faults(Lease('l', 10, confirmed=5, gone=7, revocation=revocation), 6), [])

    def test_accepts_a_lease_without_a_key(self):
        """The put may have been lost."""
        self.assertEqual(check([], [], [], [Lease('l', 10, confirmed=5)], {}), [])

    def test_finds_an_early_expiry(self):
        """Seen by a watch, or told to the one who renews."""
        self.assertTrue(any('before its term' in fault for fault in self.faults(Lease('l', 10, confirmed=5), 14.9)))
        self.assertTrue(any('said to be gone' in fault for fault in self.faults(Lease('l', 10, confirmed=5, gone=14.9), 16)))

    def test_finds_a_lease_that_never_ends(self):
        """Its key is still there at the end, whether it expired or was revoked."""
        for revocation in ('none', 'ok'):
            lease = Lease('l', 10, confirmed=5, revocation=revocation)
            self.assertTrue(any('still there' in fault for fault in self.faults(lease, 0, log=self.LOG[:1])))

    def test_finds_a_deletion_without_a_lease(self):
        """Only a key that has a lease may go by itself."""
        self.assertTrue(any('invented' in fault for fault in check(self.WRITES, self.LOG)))


if __name__ == '__main__':
    unittest.main()
