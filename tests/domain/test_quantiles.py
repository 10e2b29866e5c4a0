"""Quantiles, against the sorted values themselves."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.domain.quantiles import LEAST, Quantiles


class QuantilesTests(SynchronousTestCase):
    """In windows of 10 s."""

    @given(st.lists(st.floats(1, 1e12), min_size=LEAST, max_size=200), st.floats(0.01, 1))
    def test_right_to_an_eighth(self, values: list[float], share: float) -> None:
        """Never less than the true one, and never more than an eighth above it."""
        quantiles = Quantiles(10.0)
        for value in values:
            quantiles.add(value, 0.0)
        true = sorted(values)[math.ceil(share * len(values)) - 1]
        found = quantiles.at(share, 0.0)
        assert found is not None
        self.assertLessEqual(true * (1 - 1e-9), found)
        self.assertLessEqual(found, true * 1.125 * (1 + 1e-9))

    def test_too_few_say_nothing(self) -> None:
        """One less than needed."""
        quantiles = Quantiles(10.0)
        for _ in range(LEAST - 1):
            quantiles.add(5.0, 0.0)
        self.assertIsNone(quantiles.at(0.5, 0.0))

    def test_small_values(self) -> None:
        """Nothing is less than 1."""
        quantiles = Quantiles(10.0)
        for _ in range(LEAST):
            quantiles.add(0.0, 0.0)
        self.assertEqual(quantiles.at(1.0, 0.0), 1.0)

    def test_old_values_are_forgotten(self) -> None:
        """With the window after theirs."""
        quantiles = Quantiles(10.0)
        for _ in range(LEAST):
            quantiles.add(100.0, 5.0)
        self.assertIsNotNone(quantiles.at(0.5, 19.0))
        for _ in range(LEAST):
            quantiles.add(10.0, 19.0)
        self.assertGreater(quantiles.at(0.9, 19.5) or 0, 99)
        self.assertLess(quantiles.at(0.9, 25.0) or 0, 12)
        self.assertIsNone(quantiles.at(0.5, 60.0))
