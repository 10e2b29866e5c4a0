"""C{least-busy-time}: the replica whose engine has been computing for the smallest part of the last minute."""

from __future__ import annotations

from collections.abc import Sequence

from aibrix_twisted.domain.replica import Replica
from aibrix_twisted.policy.ask import Ask
from aibrix_twisted.policy.scorer import UNKNOWN, Scorer


class LeastBusyTime(Scorer):
    """By how often an engine said that it computes something when it was asked."""

    __slots__ = ()

    name = "least-busy-time"

    def scores(self, candidates: Sequence[Replica], ask: Ask, now: float) -> Sequence[float]:
        """The busy part of each one's time: 0 to 1."""
        found = []
        for replica in candidates:
            busy = replica.load.trend.busy if replica.load.fresh_engine(now) is not None else None
            found.append(UNKNOWN if busy is None else busy)
        return found
