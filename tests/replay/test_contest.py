"""Policies side by side, and what that amounts to."""

from __future__ import annotations

import random

from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.policy import POLICIES
from aibrix_twisted.policy.strategy import strategy_of
from aibrix_twisted.replay.contest import Field, contest
from aibrix_twisted.replay.engine import Speed
from aibrix_twisted.replay.figures import figures_of, percentile
from tests.replay.trace import arrival

#: Eight conversations that go on in turn, each with a beginning of its own: two blocks more every time.
TALKS = [
    arrival(turn * 8.0 + talk, *range(1000 * talk, 1000 * talk + 2 * turn + 2), answer=5)
    for turn in range(12)
    for talk in range(8)
]


class ContestTests(SynchronousTestCase):
    """Each policy that there is."""

    def test_all_of_them(self) -> None:
        """Serve the whole trace, and the same way again."""
        field = Field(TALKS, replicas=3, cache_blocks=200, speed=Speed(1000.0))
        for name in (*POLICIES, "prefix-cache:2,least-request"):
            jobs, again = (contest(strategy_of(name), field, random.Random(1)) for _ in range(2))
            self.assertEqual([job.first for job in jobs], [job.first for job in again], name)
            self.assertTrue(all(job.ended >= job.first >= job.given for job in jobs), name)

    def test_whoever_knows_prompts_finds_them(self) -> None:
        """Conversations are kept where they are; by load alone they are not, nor by lot."""
        field = Field(TALKS, replicas=3, cache_blocks=200, speed=Speed(2000.0))
        rates = {
            name: figures_of(contest(strategy_of(name), field, random.Random(1)), 3).hit_rate
            for name in ("random", "least-request", "prefix-cache", "cache-aware", "least-work")
        }
        for name in ("prefix-cache", "cache-aware", "least-work"):
            self.assertGreater(rates[name], 0.8, rates)
        for name in ("random", "least-request"):
            self.assertLess(rates[name], 0.7, rates)


class FigureTests(SynchronousTestCase):
    """Sums."""

    def test_figures(self) -> None:
        """By hand."""
        arrivals = [arrival(0.0, 1, 2, answer=11), arrival(100.0, 1, 2, answer=1)]
        field = Field(arrivals, replicas=1, cache_blocks=9, speed=Speed(1024.0, 0.1, 0.0))
        figures = figures_of(contest(strategy_of("random"), field, random.Random(1)), 1)
        self.assertAlmostEqual(figures.hit_rate, 1023 / 2048)
        self.assertAlmostEqual(figures.ttft_mean_s, (1.0 + 1 / 1024) / 2)
        self.assertAlmostEqual(figures.tpot_mean_s, 0.1)
        self.assertEqual((figures.ttft_p50_s, figures.ttft_p99_s, figures.imbalance), (1.0, 1.0, 1.0))

    def test_percentiles(self) -> None:
        """Of few, and of many."""
        self.assertEqual([percentile([5.0], share) for share in (0.0, 0.5, 0.99)], [5.0] * 3)
        self.assertEqual([percentile(list(range(100)), share) for share in (0.0, 0.5, 0.99)], [0, 50, 99])
