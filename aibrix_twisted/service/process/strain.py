"""Looks, several times a second, whether the process is near its end; L{Overload} judges what is seen."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from aibrix_twisted.domain.overload import Overload
from aibrix_twisted.service.owned import log_failure_of
from aibrix_twisted.service.process.cgroup import memory_groups, memory_share

_log = Logger()

#: Between two looks at the reactor, and, in looks, between two at memory.
LOOK_S: Final = 0.125
MEMORY_EVERY: Final = 2


class Strain:
    """Tells an L{Overload} of how late the reactor is, and of memory; and the listeners, when to hold."""

    def __init__(
        self,
        clock: IReactorTime,
        worked_s: Callable[[], float],
        overload: Overload,
        hold: Callable[[bool], None],
    ) -> None:
        """
        @param worked_s: seconds that the processor has worked for the thread that calls this.
        @param hold: stops accepting clients, or goes on with it.
        """
        self._clock = clock
        self._worked_s = worked_s
        self._overload = overload
        self._hold = hold
        self._call = LoopingCall(self._look)
        self._call.clock = clock
        self._seen = self._worked = 0.0
        self._looks = 0
        self._held = False
        self._said = ""
        self._groups = memory_groups()

    def start(self) -> None:
        """Begin to look, if there is anything to be seen: memory that is bounded, or a lag that matters."""
        if (self._groups or self._overload.minds_lag) and not self._call.running:
            self._seen, self._worked = self._clock.seconds(), self._worked_s()
            log_failure_of(self._call.start(LOOK_S, now=False), "looking for overload")

    def stop(self) -> None:
        """Look no more."""
        if self._call.running:
            self._call.stop()

    def _look(self) -> None:
        now, worked = self._clock.seconds(), self._worked_s()
        overload = self._overload
        # Time in which others had the processor is not lost by what we do, nor won by doing less.
        overload.turned(max(0.0, min(now - self._seen, worked - self._worked) - LOOK_S))
        self._seen, self._worked = now, worked
        self._looks += 1
        if self._groups and self._looks % MEMORY_EVERY == 0:
            overload.uses(memory_share(self._groups))
        if overload.pauses is not self._held:
            self._held = overload.pauses
            self._hold(self._held)
        if overload.sheds != self._said:
            self._said = overload.sheds
            if self._said:
                _log.warn(
                    "new requests are refused: {why}; turn {lag:.0f} ms late, {share:.0%} of memory in use",
                    why=self._said,
                    lag=overload.lag_s * 1e3,
                    share=overload.memory_share,
                )
            else:
                _log.info("new requests are taken again")
