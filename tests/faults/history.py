"""What clients did and saw while things failed, and whether a correct store could have answered so.

The store tells the revision of each write, so an order of all writes is part of the history. The check is whether that order explains
everything: then the history is linearizable, with the revisions as its witness. It is complete: any violation of real-time order, any lost,
invented, doubled or unseen write shows as one of the faults below.
"""
import dataclasses


@dataclasses.dataclass
class Operation:
    """One call of one client. Times are seconds of one monotonic clock."""
    kind: str  # 'put', 'delete' or 'get'
    key: str
    start: float
    end: float = 0.0
    outcome: str = 'unknown'  # 'ok'; 'refused': surely not done; 'unknown': perhaps done, perhaps later
    value: str | None = None  # put: what was written, unique in the history; get: what was read, None if absent
    revision: int = 0  # of the answer's header: of the write itself, or at which the read was served
    error: str = ''  # gRPC's name of why it is not 'ok'


@dataclasses.dataclass(frozen=True)
class Event:
    """One change, as a watch tells it; value None is a deletion."""
    revision: int
    key: str
    value: str | None


@dataclasses.dataclass
class Lease:
    """One lease, with one key of its own that nobody else writes."""
    key: str
    ttl: float  # Seconds, as granted.
    confirmed: float  # When the last grant or renewal that was answered began: it lives so long and its term longer.
    gone: float | None = None  # When a renewal had been answered that there is no such lease.
    revocation: str = 'none'  # or 'asked', or 'ok' if it was answered


def check(operations, log, watches=(), leases=(), seen=None):
    """All faults found, as sentences; none means that the history is linearizable, watches were complete and leases kept.

    log: every change from the first revision on, read at the end from one node, when no lease is kept alive any more and the last term
    is over; watches: for each stream that ran meanwhile, the revision it began at and the events it got; seen: for revisions, when the
    first watch had them.
    """
    return [*check_log(log), *check_writes(operations, log, leases), *check_real_time(operations, log), *check_reads(operations, log),
            *(fault for number, watch in enumerate(watches) for fault in check_watch(number, watch, log)),
            *(fault for lease in leases for fault in check_lease(lease, log, seen or {}))]


def check_log(log):
    """The log itself: ascending, no revision twice (each operation of these tests writes one key), no value twice."""
    values = {}
    for before, event in zip([None, *log], log):
        if before and event.revision <= before.revision:
            yield f'the log has revision {event.revision} after {before.revision}'
        if event.value is not None and event.value in values:
            yield f'{event.value} was written twice: at {values[event.value]} and at {event.revision}'
        if event.value is not None:
            values[event.value] = event.revision


def check_writes(operations, log, leases=()):
    """Acknowledged writes are there, refused ones are not, and nothing is there that nobody wrote."""
    at = {event.revision: event for event in log}
    attempted = {operation.value: operation for operation in operations if operation.kind == 'put'}
    deletions = {operation.key for operation in operations if operation.kind == 'delete'} | {lease.key for lease in leases}
    for operation in operations:
        if operation.kind == 'put' and operation.outcome == 'ok':
            if at.get(operation.revision) != Event(operation.revision, operation.key, operation.value):
                yield (f'lost: {operation.key}={operation.value} was acknowledged at {operation.revision}, where the log has '
                       f'{at.get(operation.revision)}')
    for event in log:
        if event.value is None:
            if event.key not in deletions:
                yield f'invented: {event.key} was deleted at {event.revision}, and nobody asked for it'
        elif event.value not in attempted or attempted[event.value].key != event.key:
            yield f'invented: {event.key}={event.value} at {event.revision} was never written'
        elif attempted[event.value].outcome == 'refused':
            yield f'{event.key}={event.value} was refused and is there at {event.revision}'


def check_real_time(operations, log):
    """What began after something ended has a later place in the order."""
    written = {event.value: event.revision for event in log if event.value is not None}
    placed = []
    for operation in operations:
        revision = operation.revision if operation.outcome == 'ok' else written.get(operation.value or '', 0)
        if revision:
            placed.append((operation, revision))
    ends = sorted((operation.end, revision) for operation, revision in placed if operation.outcome == 'ok')
    highest, taken = 0, 0
    for operation, revision in sorted(placed, key=lambda item: item[0].start):
        while taken < len(ends) and ends[taken][0] < operation.start:
            highest, taken = max(highest, ends[taken][1]), taken + 1
        # A write must come after all that ended before it began; a read, and a deletion of nothing, may see just that.
        writes = operation.kind == 'put'
        if revision < highest or (writes and revision == highest):
            yield (f'order: {operation.kind} {operation.key} began at {operation.start:.6f} when revision {highest} had been '
                   f'answered, and has {revision}')


def check_reads(operations, log):
    """A read returns the newest value at the revision at which it was served."""
    by_key = {}
    for event in log:
        by_key.setdefault(event.key, []).append(event)
    for operation in operations:
        if operation.kind == 'get' and operation.outcome == 'ok':
            value = None
            for event in by_key.get(operation.key, []):
                if event.revision > operation.revision:
                    break
                value = event.value
            if value != operation.value:
                yield f'read: {operation.key} at {operation.revision} was answered {operation.value}, and is {value}'


def check_watch(number, watch, log):
    """A watch got every change from its first revision to the last it saw, each once, in order."""
    first, events = watch
    last = events[-1].revision if events else first - 1
    expected = [event for event in log if first <= event.revision <= last]
    if events != expected:
        for place, (got, want) in enumerate(zip([*events, None], [*expected, None])):
            if got != want:
                yield f'watch {number}: change {place} from revision {first} on is {got} and should be {want}'
                return
        yield f'watch {number}: got {len(events)} changes of {len(expected)}'


def check_lease(lease, log, seen):
    """A lease ends not before its term is over, counted from the beginning of its last answered renewal; in the end it is gone."""
    earliest = lease.confirmed + lease.ttl
    changes = [event for event in log if event.key == lease.key]
    deletions = [event for event in changes if event.value is None]
    if lease.revocation == 'none':
        for event in deletions:
            if seen.get(event.revision, earliest) < earliest:
                yield (f'lease: {lease.key} was deleted at {event.revision}, {earliest - seen[event.revision]:.3f} s before its term '
                       f'of {lease.ttl} s was over')
        if lease.gone is not None and lease.gone < earliest:
            yield f'lease: that of {lease.key} was said to be gone {earliest - lease.gone:.3f} s before its term of {lease.ttl} s was over'
    if len(deletions) > 1:
        yield f'lease: {lease.key} was deleted {len(deletions)} times'
    if changes and changes[-1].value is not None:
        yield f'lease: {lease.key} is still there though its lease is over'
