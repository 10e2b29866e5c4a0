"""C{round-robin}: each in turn, as often as its weight says."""

from __future__ import annotations

from collections.abc import Sequence

from zope.interface import implementer

from aibrix_twisted.domain.replica import Replica
from aibrix_twisted.interfaces import IPolicy, Random


@implementer(IPolicy)
class RoundRobin:
    """The candidate whose next turn is due first (stride scheduling, Waldspurger and Weihl, 1995).

    Remembering when each is due, instead of a position, keeps the order fair while replicas come, go, and are left out
    of a second attempt: whoever was away is due now, and once.  Replicas that are due together go in the order of the
    configuration.
    """

    __slots__ = ("_due", "_now")

    def __init__(self) -> None:
        self._now = 0.0
        self._due: dict[str, float] = {}

    def choose(self, candidates: Sequence[Replica], rng: Random) -> Replica:
        """The one that is due first."""
        due, now = self._due, self._now
        chosen = min(candidates, key=lambda replica: due.get(replica.name, now))
        self._now = at = max(now, due.get(chosen.name, now))
        due[chosen.name] = at + 1.0 / chosen.weight
        return chosen
