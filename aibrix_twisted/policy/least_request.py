"""C{least-request}: the replica with the fewest of our requests in flight."""

from __future__ import annotations

from collections.abc import Sequence

from zope.interface import implementer

from aibrix_twisted.domain.replica import Replica
from aibrix_twisted.interfaces import IPolicy, Random


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
        fewest = min([replica.load.in_flight for replica in candidates])
        least = [replica for replica in candidates if replica.load.in_flight == fewest]
        return least[0] if len(least) == 1 else least[rng.randrange(len(least))]
