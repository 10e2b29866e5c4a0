"""What is known of one attempt."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.domain.attempt import AttemptRecord, Kind


class RecordTests(SynchronousTestCase):
    """What follows from its stamps."""

    def setUp(self) -> None:
        self.record = AttemptRecord("gpu0", "m", Kind.FIRST, 1.0, 1.1, lambda gaps: None)

    def test_ttft_needs_both_ends(self) -> None:
        """No time to first token of what was not sent, or brought nothing."""
        self.assertIsNone(self.record.ttft_s)
        self.record.first = 3.0
        self.assertIsNone(self.record.ttft_s)
        self.record.sent = 2.0
        self.assertEqual(self.record.ttft_s, 1.0)

    def test_last_is_that_of_a_stream(self) -> None:
        """Also once its gaps were told of."""
        self.assertIsNone(self.record.last)
        self.record.beats.times.extend((2.0, 3.0))
        self.record.beats.tell()
        self.assertEqual(self.record.last, 3.0)
