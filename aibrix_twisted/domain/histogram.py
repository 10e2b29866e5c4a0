"""A histogram that costs one bisection an observation; our own, which is compiled: no float is made an object."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate


class Histogram:
    """Counts by bucket; read when it is asked for.

    @ivar total: sum of what was observed.
    """

    __slots__ = ("_bounds", "_counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        """@param bounds: inclusive upper bounds, ascending; the last bucket, without one, is added."""
        self._bounds = [float(bound) for bound in bounds]
        self._counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        """Count it.  HOT: once a read of a stream."""
        self._counts[self._bucket(value)] += 1
        self.total += value

    def _bucket(self, value: float) -> int:
        """HOT."""
        bounds = self._bounds
        if value <= bounds[0]:  # of what is usual, most
            return 0
        low, high = 1, len(bounds)
        while low < high:
            middle = (low + high) >> 1
            if bounds[middle] < value:
                low = middle + 1
            else:
                high = middle
        return low

    def add_least(self, count: int, total: float) -> None:
        """So many were at most the lowest bound, and so much together."""
        self._counts[0] += count
        self.total += total

    @property
    def counts(self) -> tuple[int, ...]:
        """By bucket, the one without a bound last."""
        return tuple(self._counts)

    def buckets(self) -> list[tuple[str, float]]:
        """Cumulative counts by C{le}, as the exposition has them."""
        bounds = [repr(float(bound)) for bound in self._bounds]
        return list(zip([*bounds, "+Inf"], map(float, accumulate(self._counts)), strict=True))


def quantile(bounds: Sequence[float], counts: Sequence[int], share: float) -> float:
    """Below which so much of what was counted is; within a bucket by the straight line, as Prometheus has it.

    @param counts: as of L{Histogram}; not all 0.
    @param share: 0 to 1.
    @return: the last bound, where it is in the bucket that has none.
    """
    rank, below, so_far = share * sum(counts), 0.0, 0
    for bound, count in zip(bounds, counts, strict=False):
        if count and so_far + count >= rank:
            return below + (bound - below) * (rank - so_far) / count
        below, so_far = bound, so_far + count
    return float(bounds[-1])
