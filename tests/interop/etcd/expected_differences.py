"""Where Polis, which is etcd 3.6 to its clients, answers otherwise than Debian's etcd 3.4.23, each with the reason.

The battery rewrites the oracle's transcript by these rules before it compares; anything else that differs fails, and so does a rule
that no longer changes anything.
"""
import dataclasses


@dataclasses.dataclass(frozen=True)
class Difference:
    """In the cases matching `case` (a regular expression over module.name), what the oracle's lines say in `oracle` is
    `ours` (a replacement) with us."""
    case: str
    oracle: str
    ours: str
    reason: str


DIFFERENCES = [
]
