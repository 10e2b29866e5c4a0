"""Nobody's Deferreds."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.service.owned import log_failure_of


class LogFailureTests(SynchronousTestCase):
    """What becomes of its end."""

    def test_a_failure_is_logged(self) -> None:
        """Once, and it is handled then: whoever comes later finds nothing wrong."""
        waiting: Deferred[None] = Deferred()
        log_failure_of(waiting, "sweeping")
        waiting.errback(ValueError("broom"))
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)
        self.assertIsNone(self.successResultOf(waiting))

    def test_a_result_stays(self) -> None:
        """It is not ours to take."""
        waiting: Deferred[int] = Deferred()
        log_failure_of(waiting, "sweeping")
        waiting.callback(7)
        self.assertEqual(self.successResultOf(waiting), 7)
