"""A histogram that costs one bisection an observation."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from itertools import accumulate


class Histogram:
    """Counts by bucket; read when it is asked for.

    @ivar total: sum of what was observed.
    """

    __slots__ = ("_bounds", "_counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        """@param bounds: inclusive upper bounds, ascending; the last bucket, without one, is added."""
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        """Count it."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self.total += value

    def buckets(self) -> list[tuple[str, float]]:
        """Cumulative counts by C{le}, as the exposition has them."""
        bounds = [repr(float(bound)) for bound in self._bounds]
        return list(zip([*bounds, "+Inf"], map(float, accumulate(self._counts)), strict=True))
