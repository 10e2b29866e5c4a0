"""When a second attempt is made beside one that is late."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.service.exchange.hedge import Hedges


def an_attempt(sent: float | None = None, heard: float | None = None) -> Any:
    """As much of one as is looked at."""
    return SimpleNamespace(sent=sent, heard=heard)


class LatenessTests(SynchronousTestCase):
    """What is late."""

    def test_too_little_is_known(self) -> None:
        """With 31 times nothing is late; with 32 something can be."""
        hedges = Hedges(0.02)
        for _ in range(31):
            hedges.began("m", 100, 1.0)
        self.assertIsNone(hedges.late_after_s("m", 100))
        self.assertFalse(hedges.is_late("m", 100, an_attempt(sent=0.0), 1e9))
        hedges.began("m", 100, 1.0)
        self.assertEqual(hedges.late_after_s("m", 100), 1.0)

    def test_later_than_95_of_100(self) -> None:
        """In whatever order the times came."""
        hedges = Hedges(0.02)
        for number in range(100):
            hedges.began("m", 100, float(number * 37 % 100))
        self.assertEqual(hedges.late_after_s("m", 100), 95.0)

    @given(st.lists(st.floats(0, 100), min_size=32, max_size=300))
    def test_most_are_not_late(self, times: list[float]) -> None:
        """At most one of twenty of those that are remembered took longer; and the bound is a time that was seen."""
        hedges = Hedges(0.02)
        for each in times:
            hedges.began("m", 100, each)
        remembered, late = times[-256:], hedges.late_after_s("m", 100)
        assert late is not None
        self.assertIn(late, remembered)
        self.assertLessEqual(sum(each > late for each in remembered), len(remembered) * 0.05)

    def test_like_with_like(self) -> None:
        """By model, and by about how long the body is: from a power of four to the next."""
        hedges = Hedges(0.02)
        for _ in range(32):
            hedges.began("m", 1000, 1.0)
        self.assertEqual([hedges.late_after_s("m", size) for size in (512, 1000, 2047)], [1.0, 1.0, 1.0])
        for model, size in (("n", 1000), ("m", 0), ("m", 255), ("m", 2048), ("m", 1 << 20)):
            self.assertIsNone(hedges.late_after_s(model, size), (model, size))

    def test_lately(self) -> None:
        """The newest 256: an engine that has become slow is soon judged by how it is now."""
        hedges = Hedges(0.02)
        for seconds in (1.0, 9.0):
            for _ in range(256):
                hedges.began("m", 100, seconds)
        self.assertEqual(hedges.late_after_s("m", 100), 9.0)

    def test_an_attempt(self) -> None:
        """Late past the bound, not at it; not while it is not sent; not once something came of it."""
        hedges = Hedges(0.02)
        for _ in range(32):
            hedges.began("m", 100, 1.0)
        for attempt, expected in (
            (an_attempt(), False),
            (an_attempt(sent=9.0), False),
            (an_attempt(sent=8.9), True),
            (an_attempt(sent=0.0, heard=5.0), False),
        ):
            self.assertEqual(hedges.is_late("m", 100, attempt, 10.0), expected, attempt)


class BudgetTests(SynchronousTestCase):
    """A small share of all requests, and no floor."""

    def test_share(self) -> None:
        """Two of a hundred; none of none."""
        hedges = Hedges(0.02)
        self.assertFalse(hedges.take(5.0))
        for _ in range(100):
            hedges.count_request(5.0)
        self.assertEqual([hedges.take(5.5) for _ in range(4)], [True, True, False, False])

    def test_configure(self) -> None:
        """Another share, from now on; what is known of times stays known."""
        hedges = Hedges(0.0)
        for _ in range(32):
            hedges.began("m", 100, 1.0)
        hedges.count_request(5.0)
        self.assertFalse(hedges.take(5.0))
        hedges.configure(1.0)
        hedges.count_request(5.0)
        self.assertEqual([hedges.take(5.0) for _ in range(2)], [True, False])
        self.assertEqual(hedges.late_after_s("m", 100), 1.0)
