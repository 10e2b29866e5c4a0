"""Buffers that follow what is seen."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.domain.buffer_sizes import (
    AHEAD,
    LEAST_AHEAD,
    LEAST_ANSWER,
    MOST_AHEAD,
    BufferSizes,
)
from aibrix_twisted.domain.quantiles import LEAST


class BufferSizesTests(SynchronousTestCase):
    """Of one model."""

    def setUp(self) -> None:
        self.sizes = BufferSizes()

    def answered(self, *sizes: int) -> int | None:
        for size in sizes:
            self.sizes.answered(size, 0.0)
        return self.sizes.answer_bytes(0.0)

    def taken(self, size: int, seconds: float) -> int:
        for _ in range(LEAST):
            self.sizes.taken(size, seconds, 0.0)
        return self.sizes.ahead_bytes(0.0)

    def test_nothing_is_known(self) -> None:
        """Of answers; of clients, what Twisted takes for it."""
        self.assertIsNone(self.answered())
        self.assertEqual(self.sizes.ahead_bytes(0.0), AHEAD)

    def test_small_answers(self) -> None:
        """Not below the floor."""
        self.assertEqual(self.answered(*[900] * 100), LEAST_ANSWER)

    def test_answers_of_a_size(self) -> None:
        """Twice that, but for rounding; one that is far larger than all others changes nothing."""
        found = self.answered(*[1_000_000] * 200, 8_000_000)
        assert found is not None
        self.assertTrue(2_000_000 <= found <= 2_000_000 * 1.125, found)

    def test_slow_clients(self) -> None:
        """As little as is worth a wake-up."""
        self.assertEqual(self.taken(65536, 10.0), LEAST_AHEAD)

    def test_clients_of_a_speed(self) -> None:
        """What they take in a moment."""
        found = self.taken(2_000_000, 1.0)
        self.assertTrue(100_000 <= found <= 112_500, found)

    def test_fast_clients(self) -> None:
        """No more than the most, even where no time has passed."""
        self.assertEqual(self.taken(65536, 0.0), MOST_AHEAD)
