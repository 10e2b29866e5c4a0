"""C{round-robin}: each in turn."""

from __future__ import annotations

from collections.abc import Sequence

from zope.interface import implementer

from aibrix_twisted.domain.replica import Replica
from aibrix_twisted.interfaces import IPolicy, Random


@implementer(IPolicy)
class RoundRobin:
    """The candidate whose last turn is longest ago.

    Remembering turns instead of a position keeps the order fair while replicas come, go, and are left out of a
    second attempt.  Replicas that never had a turn go first, in the order of the configuration.
    """

    __slots__ = ("_turn", "_turns")

    def __init__(self) -> None:
        self._turn = 0
        self._turns: dict[str, int] = {}

    def choose(self, candidates: Sequence[Replica], rng: Random) -> Replica:
        """The one that has waited longest."""
        turns = self._turns
        chosen = min(candidates, key=lambda replica: turns.get(replica.name, 0))
        self._turn += 1
        turns[chosen.name] = self._turn
        return chosen
