"""Drawing one of several replicas by lot, each with the chance that its weight gives it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

from aibrix_twisted.domain.replica import Replica
from aibrix_twisted.interfaces import Random


def drawn(replicas: Sequence[Replica], rng: Random) -> Replica:
    """One of them."""
    sums = list(accumulate([replica.weight for replica in replicas]))
    mark = rng.random() * sums[-1]
    return next((replica for replica, sum in zip(replicas, sums, strict=True) if mark < sum), replicas[-1])
