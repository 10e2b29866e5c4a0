"""Who has the fewest of our requests in flight, measured by weight?"""

from __future__ import annotations

from collections.abc import Sequence

from aibrix_twisted.domain.replica import Replica
from aibrix_twisted.interfaces import Random
from aibrix_twisted.policy.lot import drawn


def loads_of(candidates: Sequence[Replica]) -> list[float]:
    """Each one's requests in flight, by its weight."""
    return [(replica.load.in_flight + replica.load.elsewhere) / replica.weight for replica in candidates]


def least_loaded(candidates: Sequence[Replica], rng: Random) -> tuple[Replica, list[float]]:
    """One of the least loaded, by lot, and the load of each."""
    loads = [(replica.load.in_flight + replica.load.elsewhere) / replica.weight for replica in candidates]
    fewest = min(loads)
    count = loads.count(fewest)
    place = loads.index(fewest)
    if count == 1:
        return candidates[place], loads
    equals = [candidates[place]]
    while len(equals) < count:  # faster than to look at each
        place = loads.index(fewest, place + 1)
        equals.append(candidates[place])
    return drawn(equals, rng), loads
