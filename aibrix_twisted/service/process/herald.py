"""What the service manager is told of a process: that it is ready, what it does, that it lives.

What says that it lives is a call of the reactor's: one that is blocked says nothing, and the manager ends the process
(C{WatchdogSec=}).  L{watchdog} has said by then where it hangs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall

from aibrix_twisted.service.owned import log_failure_of
from aibrix_twisted.service.process.notify import Notifier

#: How often the manager hears of us, and more often where its watchdog wants so.
BEAT_S: Final = 2.0

#: While we stop, it is asked for so much more time at every beat.
EXTENSION_S: Final = 30.0


class Herald:
    """Speaks for one process, from when it is ready."""

    def __init__(
        self,
        clock: IReactorTime,
        notifier: Notifier,
        status: Callable[[], str],
        monotonic_ns: Callable[[], int],
        watchdog_s: float | None = None,
    ) -> None:
        """
        @param status: what the process does, in one line.
        @param monotonic_ns: the clock that the manager, too, goes by (CLOCK_MONOTONIC).
        @param watchdog_s: the manager's patience; C{None}: it has no end.
        """
        self._notifier = notifier
        self._status = status
        self._monotonic_ns = monotonic_ns
        self._watched = watchdog_s is not None
        self._every = BEAT_S if watchdog_s is None else min(BEAT_S, watchdog_s / 3)
        self._said = ""
        self._note = ""
        self._stopping = False
        self._call = LoopingCall(self.beat)
        self._call.clock = clock

    def ready(self) -> None:
        """It serves."""
        self._said = self._line()
        self._notifier.tell({"READY": 1, "STATUS": self._said})
        if self._notifier.heard and not self._call.running:
            log_failure_of(self._call.start(self._every), "telling the service manager")

    def beat(self) -> None:
        """It lives, and this is what it does."""
        words: dict[str, str | int] = {}
        if self._watched:
            words["WATCHDOG"] = 1
        if self._stopping:
            words["EXTEND_TIMEOUT_USEC"] = round(EXTENSION_S * 1e6)
        line = self._line()
        if line != self._said:
            self._said = words["STATUS"] = line
        if words:
            self._notifier.tell(words)

    def reloading(self) -> None:
        """It is reading its settings."""
        self._notifier.tell({"RELOADING": 1, "MONOTONIC_USEC": self._monotonic_ns() // 1000})

    def reloaded(self, note: str = "") -> None:
        """It has them, or goes on with the old ones.

        @param note: why; it stands in the status until the next time.
        """
        self._note = note
        self._said = self._line()
        self._notifier.tell({"READY": 1, "STATUS": self._said})

    def note(self, note: str) -> None:
        """Something that stands in the status until the next reload."""
        self._note = note
        self.beat()

    def replaced_by(self, pid: int) -> None:
        """Another process is the service now, and speaks for itself: we say nothing more."""
        self._notifier.tell({"MAINPID": pid})
        if self._call.running:
            self._call.stop()
        self._notifier.close()

    def stopping(self) -> None:
        """It takes no new work, and ends when it has done what it has."""
        if not self._stopping:
            self._stopping = True
            self._said = self._line()
            words: dict[str, str | int] = {
                "STOPPING": 1,
                "STATUS": self._said,
                "EXTEND_TIMEOUT_USEC": round(EXTENSION_S * 1e6),
            }
            self._notifier.tell(words)

    def _line(self) -> str:
        line = self._status()
        return f"{line}; {self._note}" if self._note else line
