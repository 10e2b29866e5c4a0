"""Deadlines, coarsely.

Whatever can be late joins the wheel and is asked once a turn whether it is.  Nobody makes, moves or cancels a
timer per request or per chunk: what is watched notes C{wheel.now} when something happened to it, which costs one
attribute, and compares when it is asked.  The price is that a deadline is met up to one turn late.
"""

from __future__ import annotations

from collections import deque
from math import ceil
from typing import Final, Protocol

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from aibrix_twisted.service.owned import log_failure_of

_log = Logger()

#: Of a slot, so many are asked at once, which takes up to a tenth of a millisecond where the kernel is asked for each,
#: and more of them after a pause: of ten thousand clients who do nothing the others are to feel nothing.
_AT_ONCE: Final = 32


class Watched(Protocol):
    """Something with deadlines."""

    def check(self, now: float) -> None:
        """See whether any has passed, and act."""
        ...


class Wheel:
    """Slots of watched things, one slot checked at each tick, each slot once a turn.

    @ivar tick_s: seconds from one tick to the next.
    @ivar now: the clock as of the last tick, and so at most C{tick_s} old while the wheel runs.
    """

    def __init__(self, clock: IReactorTime, *, turn_s: float = 0.5, slots: int = 5) -> None:
        self._clock = clock
        self.tick_s = turn_s / slots
        self._slots: list[set[Watched]] = [set() for _ in range(slots)]
        self._next_in = 0
        self._next_out = 0
        self._slot: set[Watched] = set()  # of the last tick
        self._due: deque[Watched] = deque()  # who of it is still to be asked
        self._rest: IDelayedCall | None = None  # asks them
        self._size = 0  # how many there were of it
        self._call = LoopingCall(self._tick)
        self._call.clock = clock
        self.now = clock.seconds()

    def start(self) -> None:
        """Begin to turn."""
        self.now = self._clock.seconds()
        log_failure_of(self._call.start(self.tick_s, now=False), "turning the wheel")

    def stop(self) -> None:
        """Stop turning.  What is watched is not told."""
        if self._call.running:
            self._call.stop()
        self._due.clear()
        if self._rest is not None:
            self._rest.cancel()
            self._rest = None

    def join(self, watched: Watched) -> set[Watched]:
        """Watch something.

        @return: the slot that it is in: C{slot.discard(watched)} ends the watch.
        """
        self._next_in = (self._next_in + 1) % len(self._slots)
        slot = self._slots[self._next_in]
        slot.add(watched)
        return slot

    def watched(self) -> set[Watched]:
        """All that is."""
        return set[Watched]().union(*self._slots)

    def _tick(self) -> None:
        self._ask(len(self._due))  # this tick has overtaken them
        if not self._call.running:  # one of them stopped us
            return
        self.now = self._clock.seconds()
        self._slot = self._slots[self._next_out]
        self._next_out = (self._next_out + 1) % len(self._slots)
        self._due.extend(self._slot)
        self._size = len(self._due)
        self._ask(_AT_ONCE)

    def _go_on(self) -> None:
        self._rest = None
        passed = (self._clock.seconds() - self.now) / self.tick_s
        asked = self._size - len(self._due)
        self._ask(max(_AT_ONCE, ceil((self._size + _AT_ONCE) * passed) - asked))

    def _ask(self, count: int) -> None:
        due, slot = self._due, self._slot
        while due and count:
            count -= 1
            watched = due.popleft()
            if watched not in slot:  # it left since the tick
                continue
            try:
                watched.check(self.now)
            except Exception:  # noqa: BLE001 - one that fails must not stop the watch over all others
                _log.failure("while checking the deadlines of {watched}", watched=watched)
        if due and self._rest is None:
            self._rest = self._clock.callLater(self.tick_s * _AT_ONCE / (self._size + _AT_ONCE), self._go_on)
