"""C{random}: any replica, all alike."""

from __future__ import annotations

from collections.abc import Sequence

from zope.interface import implementer

from aibrix_twisted.domain.replica import Replica
from aibrix_twisted.interfaces import IPolicy, Random


@implementer(IPolicy)
class Uniform:
    """Each candidate with the same chance."""

    __slots__ = ()

    def choose(self, candidates: Sequence[Replica], rng: Random) -> Replica:
        """One of them, by lot."""
        return candidates[rng.randrange(len(candidates))]
