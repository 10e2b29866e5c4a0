"""Rendezvous hashing: AIBrix's scores, weights, and how little moves."""

from __future__ import annotations

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.policy.rendezvous import fnv_scores, highest, order

THREE = [f"10.0.0.{n}:8000" for n in (1, 2, 3)]


def plain_fnv(data: bytes) -> int:
    """FNV-1a, as it is defined (draft-eastlake-fnv)."""
    hash = 14695981039346656037
    for byte in data:
        hash = (hash ^ byte) * 1099511628211 % (1 << 64)
    return hash


class FnvTests(SynchronousTestCase):
    """AIBrix's own values (alg/simple_session_affinity.go)."""

    def test_gold(self) -> None:
        """Scores, and who has the highest."""
        self.assertEqual(
            fnv_scores(b"agent-session-42", THREE), [7202736901351286786, 7863946018042963629, 15947919301384592456]
        )
        for key in (b"agent-session-42", b"user-1", b"abc"):
            self.assertEqual(highest(fnv_scores(key, THREE), THREE), 2, key)

    def test_quality(self) -> None:
        """How evenly 20 000 keys fall, over two kinds of names."""
        for names, least, most in (
            ([f"10.0.0.{n}:8000" for n in range(1, 9)], 1841, 3087),
            ([f"127.0.0.1:{8000 + n}" for n in range(8)], 2497, 2504),
        ):
            counts = Counter(highest(fnv_scores(b"user-%d" % n, names), names) for n in range(20_000))
            self.assertEqual((min(counts.values()), max(counts.values())), (least, most))

    def test_equal_scores(self) -> None:
        """The name that is first in the alphabet."""
        self.assertEqual(highest([1, 5, 5], ["c", "b", "a"]), 2)

    @given(st.binary(max_size=40), st.lists(st.text(max_size=12), min_size=1, max_size=9))
    @settings(deadline=None)
    def test_side_by_side_is_one_by_one(self, key: bytes, names: list[str]) -> None:
        """The lanes of the long number do not touch each other, whatever the names and their lengths."""
        self.assertEqual(fnv_scores(key, names), [plain_fnv(key + b"\0" + name.encode()) for name in names])


class OrderTests(SynchronousTestCase):
    """Who a key belongs to, and who would have it next."""

    def test_as_often_as_the_weight_says(self) -> None:
        """First, over many keys."""
        counts = Counter(order(b"key-%d" % n, THREE, (1.0, 1.0, 2.0))[0] for n in range(8000))
        for place, expected in ((0, 2000), (1, 2000), (2, 4000)):
            self.assertLess(abs(counts[place] - expected), 200)

    def test_little_moves(self) -> None:
        """When one leaves only its own keys go elsewhere, and each to the one that was next."""
        for n in range(500):
            places = order(b"key-%d" % n, THREE, (1.0, 1.0, 1.0))
            left = [place for place in (0, 1)]
            after = order(b"key-%d" % n, THREE[:2], (1.0, 1.0))
            self.assertEqual([place for place in places if place in left], after)
