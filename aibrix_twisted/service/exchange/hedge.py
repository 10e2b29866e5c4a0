"""A second attempt beside one that is late.

Late is what takes longer to its first token than 95 of 100 requests like it took: of the same model, with a body of
about the same size, lately.  Only a replica with nothing to do is given one, and only a small share of all requests
gets one at all; so an overloaded fleet, where everything is late, is not given still more.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from aibrix_twisted.policy.retry import RetryBudget
from aibrix_twisted.service.exchange.attempt import Attempt

#: So many newest times are remembered of each kind of request, and fewer than the least say nothing.
_REMEMBERED: Final = 256
_LEAST: Final = 32

_LATE: Final = 0.95


class Hedges:
    """When to hedge."""

    def __init__(self, share: float) -> None:
        self._budget = RetryBudget(share, floor=0)
        self._times: dict[tuple[str, int], deque[float]] = {}

    def configure(self, share: float) -> None:
        """Take this share of all requests."""
        self._budget = RetryBudget(share, floor=0)

    def count_request(self, now: float) -> None:
        """A client's request came."""
        self._budget.count_request(now)

    def began(self, model: str, body_bytes: int, ttft_s: float) -> None:
        """A stream got its first token."""
        times = self._times.setdefault((model, body_bytes.bit_length() // 2), deque(maxlen=_REMEMBERED))
        times.append(ttft_s)

    def is_late(self, model: str, body_bytes: int, attempt: Attempt, now: float) -> bool:
        """Nothing has come of it for longer than of most like it."""
        if attempt.sent is None or attempt.heard is not None:
            return False
        late = self.late_after_s(model, body_bytes)
        return late is not None and now - attempt.sent > late

    def late_after_s(self, model: str, body_bytes: int) -> float | None:
        """From when on a request is late, or C{None} where too little is known."""
        times = self._times.get((model, body_bytes.bit_length() // 2))
        if times is None or len(times) < _LEAST:
            return None
        return sorted(times)[int(len(times) * _LATE)]

    def take(self, now: float) -> bool:
        """Use one second attempt, if there is one."""
        return self._budget.take(now)
