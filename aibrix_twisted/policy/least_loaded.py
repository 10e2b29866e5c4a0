"""Who has the fewest of our requests in flight, measured by weight?"""

from __future__ import annotations

from collections.abc import Sequence

from aibrix_twisted.domain.replica import Replica
from aibrix_twisted.interfaces import Random
from aibrix_twisted.policy.lot import drawn


def loads_of(candidates: Sequence[Replica]) -> list[float]:
    """Each one's requests in flight, by its weight."""
    return [replica.load.in_flight / replica.weight for replica in candidates]


def least_loaded(candidates: Sequence[Replica], rng: Random) -> tuple[Replica, list[float]]:
    """One of the least loaded, by lot, and the load of each."""
    loads = [replica.load.in_flight / replica.weight for replica in candidates]
    fewest = min(loads)
    if loads.count(fewest) == 1:
        return candidates[loads.index(fewest)], loads
    return drawn([replica for replica, load in zip(candidates, loads, strict=True) if load == fewest], rng), loads
