"""One generation at a simulated engine: it waits for its place, computes its prompt, and gives token after token."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from twisted.internet.interfaces import IDelayedCall

from aibrix_twisted.demo.outlet import Outlet

if TYPE_CHECKING:
    from aibrix_twisted.demo.engine import DemoEngine


class Job:
    """Runs once.  The engine starts it when there is a place."""

    def __init__(
        self,
        engine: DemoEngine,
        outlet: Outlet,
        *,
        prefill_s: float,
        whole_s: float,
        events: list[bytes],
        begin: Callable[[], None],
        hang_after: int = -1,
        streamed: bool = False,
    ) -> None:
        """
        @param whole_s: for all tokens, where the answer is one piece.
        @param events: the pieces of the body; given one each C{token_s}.
        @param begin: writes the head.
        """
        self._engine = engine
        self._outlet = outlet
        self._prefill_s = prefill_s
        self._whole_s = whole_s
        self._events = events
        self._begin = begin
        self._hang_after = hang_after
        self.streamed = streamed
        self._next = 0
        self._timer: IDelayedCall | None = None

    def start(self) -> None:
        """There is a place."""
        self._after(self._prefill_s + self._whole_s, self._first)

    def cancel(self) -> None:
        """Nobody wants it any more."""
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()
        self._outlet.lost()
        self._engine.job_over(self, cancelled=True)

    def end_early(self, after: int, last: bytes) -> None:
        """Send so many more events, and then this one, as if it were the last."""
        self._events[self._next + after :] = [last]

    def stall(self, seconds: float) -> None:
        """Send nothing more, and close the connection after a while."""
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()
        self._after(seconds, self.cut)

    def cut(self) -> None:
        """Close the connection: the rest is not sent."""
        self._outlet.close(reset=False)

    def _first(self) -> None:
        self._begin()
        self._step()

    def _step(self) -> None:
        pause = self._engine.speed.token_s
        while self._next < len(self._events) and not self._outlet.over:
            if self._next == self._hang_after:
                return
            self._outlet.piece(self._events[self._next])
            self._next += 1
            if pause and self._next < len(self._events):
                self._after(pause, self._step)
                return
        self._engine.job_over(self, cancelled=False)
        self._outlet.end()

    def _after(self, seconds: float, action: Callable[[], None]) -> None:
        def due() -> None:
            self._timer = None
            action()

        if seconds:
            self._timer = self._engine.clock.callLater(seconds, due)
        else:
            action()
