"""C{least-request}: the replica with the fewest of our requests in flight, measured by its weight."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from aibrix_twisted.domain.replica import Replica
from aibrix_twisted.interfaces import Random
from aibrix_twisted.policy.ask import Ask
from aibrix_twisted.policy.choice import Choice, Why
from aibrix_twisted.policy.least_loaded import least_loaded, loads_of
from aibrix_twisted.policy.scorer import Scorer

#: There was none.
_NO_CHOICE: Final[Why] = {}


class LeastRequest(Scorer):
    """Fewest in flight; among equals, by lot, so that an idle fleet is not always entered by the same door.

    A request counts from its choice on, before it is sent, so that a burst spreads.
    """

    __slots__ = ()

    name = "least-request"

    def scores(self, candidates: Sequence[Replica], ask: Ask, now: float) -> Sequence[float]:
        """Each one's load."""
        return loads_of(candidates)

    def choose(self, candidates: Sequence[Replica], ask: Ask, now: float, rng: Random) -> Choice:
        """One of the least loaded."""
        if len(candidates) == 1:
            return Choice(candidates[0], _NO_CHOICE)
        replica, loads = least_loaded(candidates, rng)
        return Choice(replica, {"load": loads})
