"""A thread that nobody waits for."""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any

from twisted.internet.defer import CancelledError
from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.service.process.detached import in_detached_thread


class Reactor:
    """Does what threads ask when the test says so."""

    def __init__(self) -> None:
        self.asked: SimpleQueue[tuple[Callable[..., Any], tuple[Any, ...]]] = SimpleQueue()

    def callFromThread(self, call: Callable[..., Any], *args: Any) -> None:
        self.asked.put((call, args))

    def turn(self) -> None:
        """Waits for the next."""
        call, args = self.asked.get(timeout=30)
        call(*args)


class DetachedTests(SynchronousTestCase):
    """With real threads, and no clock."""

    def test_there(self) -> None:
        """In another thread, that does not hold the process; said here once it is over, in the reactor's turn."""
        reactor: Any = Reactor()
        ran: list[threading.Thread] = []
        done = in_detached_thread(reactor, lambda: ran.append(threading.current_thread()))
        self.assertNoResult(done)
        reactor.turn()
        self.successResultOf(done)
        self.assertTrue(ran[0].daemon)
        self.assertIsNot(ran[0], threading.current_thread())

    def test_given_up(self) -> None:
        """Whoever waits no longer is not told any more, and the thread goes on."""
        reactor: Any = Reactor()
        held = threading.Event()
        done = in_detached_thread(reactor, lambda: self.assertTrue(held.wait(30)))
        done.cancel()
        self.failureResultOf(done, CancelledError)
        held.set()
        reactor.turn()

    def test_raised(self) -> None:
        """Is over, too; Python says what it was."""
        reactor: Any = Reactor()
        raised: list[Any] = []
        self.patch(threading, "excepthook", raised.append)
        done = in_detached_thread(reactor, lambda: 1 // 0)  # type: ignore[arg-type, return-value]
        reactor.turn()
        self.successResultOf(done)
        for thread in threading.enumerate():
            if thread.name == "aibrix-detached":
                thread.join(30)
        self.assertIs(raised[0].exc_type, ZeroDivisionError)
