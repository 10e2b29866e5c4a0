"""C{random}: any replica, as often as its weight says."""

from __future__ import annotations

from collections.abc import Sequence

from zope.interface import implementer

from aibrix_twisted.domain.replica import Replica
from aibrix_twisted.interfaces import IPolicy, Random
from aibrix_twisted.policy.lot import drawn


@implementer(IPolicy)
class Uniform:
    """Each candidate with the chance that its weight gives it."""

    __slots__ = ()

    def choose(self, candidates: Sequence[Replica], rng: Random) -> Replica:
        """One of them, by lot."""
        return drawn(candidates, rng)
