"""C{power-of-two}: of two candidates drawn by lot, the less loaded.

What one cannot know of all it can know of two; and gateways that see the same figures do not all run to the same
replica.
"""

from __future__ import annotations

from collections.abc import Sequence

from aibrix_twisted.domain.replica import Replica
from aibrix_twisted.interfaces import Random
from aibrix_twisted.policy.ask import Ask
from aibrix_twisted.policy.choice import Choice
from aibrix_twisted.policy.least_loaded import loads_of
from aibrix_twisted.policy.lot import drawn
from aibrix_twisted.policy.policy import Policy


class PowerOfTwo(Policy):
    """Two different ones, by lot; the first where they are equal."""

    __slots__ = ()

    name = "power-of-two"

    def choose(self, candidates: Sequence[Replica], ask: Ask, now: float, rng: Random) -> Choice:
        """The less loaded of two."""
        if len(candidates) == 1:
            return Choice(candidates[0], {})
        first = drawn(candidates, rng)
        second = drawn([replica for replica in candidates if replica is not first], rng)
        loads = loads_of((first, second))
        drawn_ones = [float(replica is first or replica is second) for replica in candidates]
        return Choice(first if loads[0] <= loads[1] else second, {"drawn": drawn_ones, "load": loads_of(candidates)})
