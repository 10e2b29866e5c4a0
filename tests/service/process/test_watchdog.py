"""The thread that says where the reactor hangs."""

from __future__ import annotations

import threading
import time

from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.service.process.watchdog import Watchdog


class WatchdogTests(SynchronousTestCase):
    """Looked at from this thread, on a clock of the test's own."""

    def setUp(self) -> None:
        self.now = 10.0
        self.watchdog = Watchdog(lambda: self.now, hangs_s=2.0)
        self.watchdog._watched = threading.get_ident()
        self.watchdog.check(self.now)

    def test_a_reactor_that_turns(self) -> None:
        """Is left alone."""
        for _ in range(9):
            self.now += 1.9
            self.assertEqual(self.watchdog.look(), "")
            self.watchdog.check(self.now)

    def test_a_reactor_that_hangs(self) -> None:
        """It is said for how long, and where."""
        self.now += 2.5
        where = self.watchdog.look()
        self.assertIn("for 2.5 s, at", where)
        self.assertIn("test_a_reactor_that_hangs", where)


class ThreadTests(SynchronousTestCase):
    """The thread itself."""

    def test_it_tells_once(self) -> None:
        """However long it hangs; and it ends when told to."""
        watchdog = Watchdog(time.monotonic, hangs_s=0.02)
        watchdog.start()
        self.addCleanup(watchdog.stop)
        deadline = time.monotonic() + 30
        while not watchdog.hangs and time.monotonic() < deadline:
            pass  # this is what hangs
        told = watchdog.hangs
        thread = watchdog._thread
        watchdog.stop()
        assert thread is not None
        self.assertEqual((told, watchdog.hangs, thread.is_alive()), (1, 1, False))
