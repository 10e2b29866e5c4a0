"""Buckets, as Prometheus has them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.service.telemetry.histogram import Histogram

BOUNDS = (0.5, 1.0, 2.5)


class HistogramTests(SynchronousTestCase):
    """Against the definition."""

    def test_bounds_are_inclusive(self) -> None:
        """C{le} is less or equal; what is beyond the last is in C{+Inf} only."""
        histogram = Histogram(BOUNDS)
        for value in (0.5, 1.0, 2.5, 2.6):
            histogram.observe(value)
        self.assertEqual(histogram.buckets(), [("0.5", 1.0), ("1.0", 2.0), ("2.5", 3.0), ("+Inf", 4.0)])

    def test_many_of_the_lowest(self) -> None:
        """Added up elsewhere."""
        histogram = Histogram(BOUNDS)
        histogram.observe(0.7)
        histogram.add_least(3, 0.5)
        self.assertEqual(histogram.buckets()[:2], [("0.5", 3.0), ("1.0", 4.0)])
        self.assertAlmostEqual(histogram.total, 1.2)

    def test_empty(self) -> None:
        """Every bucket is there."""
        self.assertEqual(Histogram(BOUNDS).buckets(), [("0.5", 0.0), ("1.0", 0.0), ("2.5", 0.0), ("+Inf", 0.0)])

    @given(st.lists(st.floats(0, 10, allow_nan=False)))
    def test_each_bucket_counts_what_is_not_above_it(self, values: list[float]) -> None:
        """And the total is the sum."""
        histogram = Histogram(BOUNDS)
        for value in values:
            histogram.observe(value)
        sorted_at_once = Histogram(BOUNDS)
        sorted_at_once.observe_sorted(sorted(values))
        self.assertEqual(sorted_at_once.buckets(), histogram.buckets())
        self.assertAlmostEqual(sorted_at_once.total, histogram.total)
        counts = [count for _, count in histogram.buckets()]
        self.assertEqual(counts[:-1], [sum(value <= bound for value in values) for bound in BOUNDS])
        self.assertEqual(counts[-1], len(values))
        self.assertAlmostEqual(histogram.total, sum(values))
