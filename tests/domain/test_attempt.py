"""What is known of one attempt."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.domain.attempt import AttemptRecord, Kind
from aibrix_twisted.domain.histogram import Histogram


class RecordTests(SynchronousTestCase):
    """What follows from its stamps."""

    def setUp(self) -> None:
        self.record = AttemptRecord("gpu0", "m", Kind.FIRST, 1.0, 1.1, Histogram([1.0]))

    def test_ttft_needs_both_ends(self) -> None:
        """No time to first token of what was not sent, or brought nothing."""
        self.assertIsNone(self.record.ttft_s)
        self.record.first = 3.0
        self.assertIsNone(self.record.ttft_s)
        self.record.sent = 2.0
        self.assertEqual(self.record.ttft_s, 1.0)

    def test_last_is_that_of_a_stream(self) -> None:
        """The newest time at which the client got something."""
        self.assertIsNone(self.record.last)
        for at in (2.0, 3.0):
            self.record.beats.beat(at)
        self.assertEqual(self.record.last, 3.0)
