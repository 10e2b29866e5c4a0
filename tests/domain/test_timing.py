"""An exchange's stamps."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.domain.timing import Stamps


class StampsTests(SynchronousTestCase):
    """What follows from when things happened."""

    def test_ttft_needs_both_ends(self) -> None:
        """No time to first token without a request, or without a token."""
        stamps = Stamps(1.0)
        self.assertIsNone(stamps.ttft_s)
        stamps.read = 2.0
        self.assertIsNone(stamps.ttft_s)
        stamps.first_byte = 2.5
        self.assertEqual(stamps.ttft_s, 0.5)

    def test_duration_from_acceptance_to_end(self) -> None:
        """Nothing while it is not over."""
        stamps = Stamps(1.0)
        self.assertEqual(stamps.duration_s, 0.0)
        stamps.ended = 4.0
        self.assertEqual(stamps.duration_s, 3.0)
