"""Once more?  How far an attempt got decides whether the request may be sent again, and a budget how often."""

from __future__ import annotations

import enum

from aibrix_twisted.domain.assembly import Outcome


class Progress(enum.Enum):
    """How far an attempt got."""

    NOTHING_SENT = "nothing sent"  # the connect failed
    NOTHING_RECEIVED = "nothing received"  # sent, wholly or in part; no byte of an answer came
    RECEIVED = "received"  # some of an answer came; none of it went to the client
    DELIVERED = "delivered"  # some of an answer went to the client


#: Outcomes that say something of the replica and nothing of the request.
_ELSEWHERE_IT_MAY_WORK = frozenset({Outcome.TRUNCATED, Outcome.BROKEN})


def may_repeat(progress: Progress, outcome: Outcome, *, stateful: bool) -> bool:
    """Whether another attempt could be right, limits aside.

    An inference request may be sent again while nothing of an answer went to the client.  What keeps state at the
    engine may not be once a byte of it was sent.  A deadline that passed has used up the client's time.
    """
    if progress is Progress.DELIVERED or outcome not in _ELSEWHERE_IT_MAY_WORK:
        return False
    return progress is Progress.NOTHING_SENT or not stateful


class RetryBudget:
    """How many retries there may be: a share of the requests of the last seconds, and never less than a floor.

    The floor is what lets a quiet gateway retry at all; the share is what keeps an outage from doubling its load.
    Counts are kept by whole seconds.
    """

    __slots__ = ("_floor", "_requests", "_retries", "_second", "_share", "_window")

    def __init__(self, share: float, *, floor: int = 64, window_s: int = 10) -> None:
        self._share = share
        self._floor = floor
        self._window = window_s
        self._requests = [0] * window_s
        self._retries = [0] * window_s
        self._second = 0

    def count_request(self, now: float) -> None:
        """A client's request came."""
        second = int(now)
        if second != self._second:
            self._turn_to(second)
        self._requests[second % self._window] += 1

    def take(self, now: float) -> bool:
        """Use one retry, if there is one."""
        second = int(now)
        if second != self._second:
            self._turn_to(second)
        if sum(self._retries) >= max(self._floor, self._share * sum(self._requests)):
            return False
        self._retries[second % self._window] += 1
        return True

    def _turn_to(self, second: int) -> None:
        for passed in range(self._second + 1, min(second, self._second + self._window) + 1):
            self._requests[passed % self._window] = self._retries[passed % self._window] = 0
        self._second = second
