"""Quantiles of what was seen lately, in bounded memory.

Values are counted in buckets each of which is an eighth wider than the one before, so that a quantile is right to about
six in a hundred.  Two windows are kept, the current one and the one before; older values are forgotten with the latter.
"""

from __future__ import annotations

import math
from collections import Counter
from typing import Final

_GROWTH: Final = math.log(1.125)

#: Fewer values than this say nothing.
LEAST: Final = 16


class Quantiles:
    """Of positive numbers."""

    __slots__ = ("_before", "_now", "_window", "_window_s")

    def __init__(self, window_s: float) -> None:
        """@param window_s: values count for this long at the least, and for twice as long at the most."""
        self._window_s = window_s
        self._window = 0
        self._now: Counter[int] = Counter()
        self._before: Counter[int] = Counter()

    def add(self, value: float, now: float) -> None:
        """A value was seen.

        @param value: of less than 1 counts as 1.
        @param now: in seconds of any clock that does not go back.
        """
        self._turn(now)
        self._now[math.ceil(math.log(value) / _GROWTH) if value > 1 else 0] += 1

    def at(self, share: float, now: float) -> float | None:
        """What this share of the values do not exceed, rounded up to its bucket; C{None} where too few are known.

        @param share: in (0, 1].
        """
        self._turn(now)
        counts = self._now + self._before
        rank = share * counts.total()
        if counts.total() < LEAST:
            return None
        for bucket in sorted(counts):
            rank -= counts[bucket]
            if rank <= 0:
                return math.exp(bucket * _GROWTH)
        return None

    def _turn(self, now: float) -> None:
        window = int(now // self._window_s)
        if window != self._window:
            self._before = self._now if window == self._window + 1 else Counter()
            self._now = Counter()
            self._window = window
