"""A circuit breaker: does what is sent to a replica come back well?

::

    CLOSED     results are counted; too many failures open it
    OPEN       nothing is sent, for a while that doubles each time
    HALF_OPEN  one attempt is let through; its result closes or opens it

What is sent in spite of it (in a panic, when every replica's is open) counts, too: a success closes it.
"""

from __future__ import annotations

import enum
from collections import deque
from typing import Final

from aibrix_twisted.domain.settings import BreakerSettings
from aibrix_twisted.interfaces import Random

#: Of the last so many attempts, more than half failing opens it.
WINDOW: Final = 20


class BreakerState(enum.Enum):
    """Where it stands."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"


class Breaker:
    """One per replica.

    @ivar until: while open, when it lets one through, in seconds of the caller's clock.
    """

    __slots__ = ("_in_a_row", "_results", "_settings", "_times", "_trial", "state", "until")

    def __init__(self, settings: BreakerSettings) -> None:
        self._settings = settings
        self._results: deque[bool] = deque(maxlen=WINDOW)
        self._in_a_row = 0
        self._times = 0
        self._trial = False
        self.state = BreakerState.CLOSED
        self.until = 0.0

    def configure(self, settings: BreakerSettings) -> None:
        """Take these settings; turned off, it closes."""
        self._settings = settings
        if not settings.enabled:
            self._close()

    def allows(self, now: float) -> bool:
        """Whether an attempt may be sent now.  Time passes here: what was open long enough is half-open."""
        if self.state is BreakerState.OPEN and now >= self.until:
            self.state = BreakerState.HALF_OPEN
            self._trial = False
        return self.state is BreakerState.CLOSED or (self.state is BreakerState.HALF_OPEN and not self._trial)

    def began(self) -> None:
        """An attempt is on its way; half-open, it is the one."""
        if self.state is BreakerState.HALF_OPEN:
            self._trial = True

    def forgot(self) -> None:
        """An attempt ended without saying anything of the replica: half-open, another may be the one."""
        self._trial = False

    def succeeded(self) -> bool:
        """An attempt came back well.

        @return: whether this closed it.
        """
        self._in_a_row = 0
        self._results.append(True)
        if self.state is BreakerState.CLOSED:
            return False
        self._close()
        return True

    def failed(self, now: float, rng: Random) -> bool:
        """An attempt did not.

        @return: whether this opened it.
        """
        self._in_a_row += 1
        self._results.append(False)
        if not self._settings.enabled or self.state is BreakerState.OPEN:
            return False
        if self.state is BreakerState.CLOSED and not self._too_many():
            return False
        self.open(now, rng)
        return True

    def open(self, now: float, rng: Random) -> None:
        """Let nothing through for a while: half as long as said, up to as long, by lot, so that replicas that
        failed together are not tried together."""
        seconds = min(self._settings.open * 2.0**self._times, self._settings.open_max)
        self._times = min(self._times + 1, 32)
        self.until = now + seconds * (0.5 + 0.5 * rng.random())
        self.state = BreakerState.OPEN
        self._trial = False

    def told(self, state: BreakerState, until: float) -> None:
        """A peer's is so; one that is open there is open here as long, and one that lets its attempt through there lets
        none through here."""
        if state is BreakerState.CLOSED:
            self._close()
        else:
            self.state, self.until = state, until
            self._trial = state is BreakerState.HALF_OPEN

    @property
    def trying(self) -> bool:
        """Half-open, and its one attempt is on its way."""
        return self._trial and self.state is BreakerState.HALF_OPEN

    def _too_many(self) -> bool:
        if self._in_a_row >= self._settings.failures:
            return True
        return len(self._results) == WINDOW and self._results.count(False) * 2 > WINDOW

    def _close(self) -> None:
        self.state = BreakerState.CLOSED
        self._results.clear()
        self._in_a_row = self._times = 0
        self._trial = False
