"""Which signal asks for what, and from which thread."""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.service.process.signals import handle_signals


class Later:
    """A reactor that does nothing until it is told to."""

    def __init__(self) -> None:
        self.when_running: list[Callable[[], None]] = []
        self.from_thread: list[Callable[[], None]] = []

    def callWhenRunning(self, call: Callable[[], None]) -> None:
        self.when_running.append(call)

    def callFromThread(self, call: Callable[[], None]) -> None:
        self.from_thread.append(call)


class SignalTests(SynchronousTestCase):
    """With the table of handlers in memory: the process's own are left alone."""

    def setUp(self) -> None:
        self.table: dict[int, Callable[[int, Any], None]] = {}
        self.patch(signal, "signal", self.table.__setitem__)
        self.reactor = Later()
        self.asked: list[str] = []
        asked = {name: lambda name=name: self.asked.append(name) for name in ("stop", "reload", "hand_over")}
        handle_signals(self.reactor, **asked)  # type: ignore[arg-type]

    def test_not_before_the_reactor_runs(self) -> None:
        """It installs handlers of its own as it starts; ours come after them."""
        self.assertEqual(self.table, {})
        self.reactor.when_running[0]()
        self.assertEqual(set(self.table), {signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR2})

    def test_each_asks_for_its_own(self) -> None:
        """In the reactor's turn, not beneath the signal, which may come in the middle of anything."""
        self.reactor.when_running[0]()
        for number, wanted in (
            (signal.SIGTERM, "stop"), (signal.SIGINT, "stop"), (signal.SIGHUP, "reload"), (signal.SIGUSR2, "hand_over"),
        ):  # fmt: skip
            self.table[number](number, None)
            self.assertEqual(self.asked, [])
            self.reactor.from_thread.pop()()
            self.assertEqual([self.asked.pop()], [wanted])
