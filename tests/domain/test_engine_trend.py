"""What counters did of late."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.domain.engine_load import EngineLoad
from aibrix_twisted.domain.engine_trend import EngineTrend


class TrendTests(SynchronousTestCase):
    """Readings, one a second or so."""

    def setUp(self) -> None:
        self.trend = EngineTrend()

    def read(self, at: float, **figures: Any) -> None:
        """One."""
        self.trend.read(EngineLoad(at=at, **figures))

    def test_nothing_yet(self) -> None:
        """One reading is no trend."""
        self.assertIsNone(self.trend.rate("prompt_tokens"))
        self.read(0.0, prompt_tokens=5.0)
        self.assertIsNone(self.trend.gained("prompt_tokens"))
        self.assertIsNone(self.trend.busy)

    def test_within_a_minute(self) -> None:
        """Growth of the last minute, whatever was before."""
        for second in range(200):
            self.read(float(second), prompt_tokens=10.0 * second + (1000.0 if second > 60 else 0.0))
        self.assertEqual(self.trend.rate("prompt_tokens"), 10.0)
        self.assertLessEqual(self.trend.gained("prompt_tokens") or 0.0, 600.0)

    def test_means(self) -> None:
        """Of those that ended within the window; none did: none."""
        self.read(0.0, queue_s=5.0, queue_n=1.0, prefill_s=1.0, prefill_n=1.0)
        self.read(10.0, queue_s=8.0, queue_n=3.0, prefill_s=1.0, prefill_n=1.0)
        self.assertEqual(self.trend.mean("queue_s", "queue_n"), 1.5)
        self.assertIsNone(self.trend.mean("prefill_s", "prefill_n"))
        self.assertIsNone(self.trend.mean("decode_s", "decode_n"))

    def test_an_engine_that_started_anew(self) -> None:
        """Its counters begin at nothing: it is told, and its growth is counted from there."""
        self.read(0.0, prompt_tokens=1000.0)
        self.read(10.0, prompt_tokens=2000.0)
        self.read(20.0, prompt_tokens=5.0)
        self.assertEqual(self.trend.restarts, 1)
        self.assertIsNone(self.trend.gained("prompt_tokens"))
        self.read(30.0, prompt_tokens=15.0)
        self.assertEqual((self.trend.restarts, self.trend.rate("prompt_tokens")), (1, 1.0))

    def test_busy(self) -> None:
        """The part of the time in which something was computed, by what was said at its end."""
        for second in range(41):
            self.read(float(second), running=1.0 if second > 30 else 0.0)
        self.assertAlmostEqual(self.trend.busy or 0.0, 0.25)
        for second in range(41, 200):
            self.read(float(second), running=0.0)
        self.assertEqual(self.trend.busy, 0.0)

    def test_a_long_silence_counts_little(self) -> None:
        """Nobody knows what was in it."""
        self.read(0.0, running=0.0)
        self.read(1.0, running=0.0)
        self.read(50.0, running=3.0)
        self.assertAlmostEqual(self.trend.busy or 0.0, 5.0 / 6.0)

    def test_figures_that_come_and_go(self) -> None:
        """What is not said has no trend."""
        self.read(0.0, prompt_tokens=1.0)
        self.read(10.0, generation_tokens=1.0)
        self.assertIsNone(self.trend.rate("prompt_tokens"))
        self.assertIsNone(self.trend.rate("generation_tokens"))
        self.assertIsNone(self.trend.busy)

    def test_the_same_time_twice(self) -> None:
        """What is said by the way has the time of what was read before."""
        self.read(5.0, running=1.0, prompt_tokens=1.0)
        self.read(5.0, running=1.0, prompt_tokens=2.0)
        self.assertIsNone(self.trend.rate("prompt_tokens"))
