"""Once more?  How far an attempt got decides whether the request may be sent again, and a budget how often."""

from __future__ import annotations

import enum
from typing import Final

from aibrix_twisted.domain.assembly import Outcome


class Progress(enum.Enum):
    """How far an attempt got."""

    NOTHING_SENT = "nothing sent"  # the connect failed
    NOTHING_RECEIVED = "nothing received"  # sent, wholly or in part; no byte of an answer came
    RECEIVED = "received"  # some of an answer came; none of it went to the client
    DELIVERED = "delivered"  # some of an answer went to the client


class Again(enum.Enum):
    """What may be done after an attempt."""

    NO = "no"  # the client gets what there is
    RESEND = "resend"  # once more to the same replica, on a connection that lives
    ELSEWHERE = "elsewhere"  # to another replica, uncounted: this one was sent nothing
    RETRY = "retry"  # to another replica, within the bounds of [retry]


#: Outcomes that say something of the replica and nothing of the request.
_ELSEWHERE_IT_MAY_WORK: Final = frozenset({Outcome.TRUNCATED, Outcome.BROKEN})

#: An engine's own word that it has too much to do: it has not begun with the request (RFC 6585 §4, RFC 9110 §15.6.4).
DECLINED: Final = frozenset({429, 503})

#: An engine's word that it failed.  One that is being stopped says so of all that it has (vLLM does).
FAILED: Final = 500


def again(progress: Progress, outcome: Outcome, status: int, *, stateful: bool, reused: bool) -> Again:
    """Whether another attempt could be right, limits aside.

    An inference request may be sent again while nothing of an answer went to the client.  What keeps state at the
    engine may not be once a byte of it was sent.  A deadline that passed has used up the client's time.

    @param status: the engine's; 0 where no head came.
    @param reused: the connection had served before.  One that an engine closes as idle just then has not taken the
        request (RFC 9112 §9.3.1).
    """
    if progress is Progress.DELIVERED:
        return Again.NO
    if outcome in _ELSEWHERE_IT_MAY_WORK:
        if progress is Progress.NOTHING_SENT:
            return Again.ELSEWHERE
        if stateful:
            return Again.NO
        return Again.RESEND if reused and progress is Progress.NOTHING_RECEIVED else Again.RETRY
    may_work = outcome is Outcome.COMPLETE and (status == FAILED or status in DECLINED)
    return Again.RETRY if may_work and not stateful else Again.NO


def backoff_s(nth: int, first_s: float, max_s: float, lot: float) -> float:
    """How long to wait before the I{nth} retry, from 1: doubled each time, up to a bound; half of it by lot, so that
    what failed together is not tried again together.

    @param lot: in [0, 1).
    """
    return float(min(first_s * 2.0 ** (nth - 1), max_s) * (0.5 + 0.5 * lot))


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
        if sum(self._retries) + 1 > max(self._floor, self._share * sum(self._requests)):
            return False
        self._retries[second % self._window] += 1
        return True

    def _turn_to(self, second: int) -> None:
        for passed in range(self._second + 1, min(second, self._second + self._window) + 1):
            self._requests[passed % self._window] = self._retries[passed % self._window] = 0
        self._second = second
