"""C{least-request}: the replica with the fewest of our requests in flight, measured by its weight."""

from __future__ import annotations

from collections.abc import Sequence

from zope.interface import implementer

from aibrix_twisted.domain.replica import Replica
from aibrix_twisted.interfaces import IPolicy, Random
from aibrix_twisted.policy.lot import drawn


@implementer(IPolicy)
class LeastRequest:
    """Fewest in flight; among equals, by lot, so that an idle fleet is not always entered by the same door.

    A request counts from its choice on, before it is sent, so that a burst spreads.
    """

    __slots__ = ()

    def choose(self, candidates: Sequence[Replica], rng: Random) -> Replica:
        """One of the least loaded."""
        if len(candidates) == 1:
            return candidates[0]
        loads = [replica.load.in_flight / replica.weight for replica in candidates]
        fewest = min(loads)
        least = [replica for replica, load in zip(candidates, loads, strict=True) if load == fewest]
        return least[0] if len(least) == 1 else drawn(least, rng)
