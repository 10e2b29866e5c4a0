"""Buckets, as Prometheus has them."""

from __future__ import annotations

import math
from bisect import bisect_left

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.domain.histogram import Histogram, quantile

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
        counts = [count for _, count in histogram.buckets()]
        self.assertEqual(counts[:-1], [sum(value <= bound for value in values) for bound in BOUNDS])
        self.assertEqual(counts[-1], len(values))
        self.assertAlmostEqual(histogram.total, sum(values))


class QuantileTests(SynchronousTestCase):
    """quantile."""

    def test_within_a_bucket(self) -> None:
        """By the straight line, from the bound below; the first bucket begins at 0."""
        self.assertEqual(quantile(BOUNDS, (4, 0, 0, 0), 0.5), 0.25)
        self.assertEqual(quantile(BOUNDS, (0, 2, 2, 0), 0.5), 1.0)
        self.assertEqual(quantile(BOUNDS, (0, 2, 2, 0), 0.75), 1.75)
        self.assertEqual(quantile(BOUNDS, (0, 0, 1, 0), 1.0), 2.5)

    def test_beyond_the_last_bound(self) -> None:
        """More is not known than that it is beyond."""
        self.assertEqual(quantile(BOUNDS, (0, 0, 0, 3), 0.5), 2.5)

    @given(st.lists(st.floats(0, 2.5), min_size=1), st.floats(0.01, 1))
    def test_it_is_in_the_bucket_where_the_value_is(self, values: list[float], share: float) -> None:
        """Whatever was observed."""
        histogram = Histogram(BOUNDS)
        for value in values:
            histogram.observe(value)
        found = quantile(BOUNDS, histogram.counts, share)
        true = sorted(values)[max(0, math.ceil(share * len(values) - 1e-9) - 1)]
        bucket = bisect_left(BOUNDS, true)
        self.assertTrue((0, *BOUNDS)[bucket] <= found <= BOUNDS[bucket], (found, true))
