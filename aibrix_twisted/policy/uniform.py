"""C{random}: any replica, as often as its weight says."""

from __future__ import annotations

from collections.abc import Sequence

from aibrix_twisted.domain.replica import Replica
from aibrix_twisted.interfaces import Random
from aibrix_twisted.policy.ask import Ask
from aibrix_twisted.policy.choice import Choice
from aibrix_twisted.policy.lot import drawn
from aibrix_twisted.policy.policy import Policy


class Uniform(Policy):
    """Each candidate with the chance that its weight gives it."""

    __slots__ = ()

    name = "random"

    def choose(self, candidates: Sequence[Replica], ask: Ask, now: float, rng: Random) -> Choice:
        """One of them, by lot."""
        return Choice(drawn(candidates, rng), {})
