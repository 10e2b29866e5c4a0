"""Tokens by user, within a window: AIBrix's cases (alg/vtc)."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.domain import token_tracker
from aibrix_twisted.domain.token_tracker import TokenTracker, estimated


class EstimateTests(SynchronousTestCase):
    """Before anybody counts."""

    def test_aibrix(self) -> None:
        """Four bytes a token, and answers half as long again, both rounded up."""
        for text, tokens in (
            ("", (0, 0)), ("Hello", (2, 3)), ("abcd", (1, 2)), ("abcde", (2, 3)), ("This is a longer message", (6, 9)),
        ):  # fmt: skip
            self.assertEqual(estimated(len(text)), tokens, text)


class TrackerTests(SynchronousTestCase):
    """Sums."""

    def test_weights(self) -> None:
        """Of prompts and answers."""
        tracker = TokenTracker()
        tracker.add("u", 10, 15, 0.0)
        self.assertEqual(tracker.tokens("u", 0.0), 40)
        tracker.add("u", 5, 10, 0.0)
        self.assertEqual(tracker.tokens("u", 0.0), 65)
        for weights, added, total in (((2.0, 0.5), (10, 20), 30), ((2.0, 3.0), (2, 4), 16)):
            other = TokenTracker(300.0, 5, *weights)
            other.add("u", *added, 0.0)
            self.assertEqual(other.tokens("u", 0.0), total)

    def test_never_below_zero(self) -> None:
        """Whoever had less than nothing had nothing."""
        tracker = TokenTracker()
        tracker.add("u", -5, 0, 0.0)
        self.assertEqual(tracker.tokens("u", 0.0), 0)
        self.assertEqual(tracker.extremes(0.0), (1000.0, 8000.0))

    def test_window(self) -> None:
        """What is older than it does not count."""
        tracker = TokenTracker(0.1, 1)
        tracker.add("u", 10, 15, 0.0)
        tracker.add("u", 15, 0, 0.05)
        self.assertEqual(tracker.tokens("u", 0.06), 55)
        self.assertEqual(tracker.tokens("u", 0.11), 0)

    def test_it_moves_by_its_parts(self) -> None:
        """Five minutes, minute by minute."""
        tracker = TokenTracker()
        for minute in range(6):
            tracker.add("u", 10, 0, minute * 60.0)
        self.assertEqual([tracker.tokens("u", 60.0 * minute) for minute in (5, 6, 9, 10)], [50, 40, 10, 0])

    def test_extremes(self) -> None:
        """Of all users, now: whoever has nothing any more does not count (AIBrix goes on counting)."""
        tracker = TokenTracker()
        self.assertEqual(tracker.extremes(0.0), (1000.0, 8000.0))
        tracker.add("a", 500, 0, 0.0)
        self.assertEqual(tracker.extremes(0.0), (500.0, 500.0))
        tracker.add("b", 1000, 0, 61.0)
        self.assertEqual(tracker.extremes(61.0), (500.0, 1000.0))
        self.assertEqual(tracker.extremes(310.0), (1000.0, 1000.0))
        self.assertEqual(tracker.extremes(1000.0), (1000.0, 8000.0))

    def test_users_are_bounded(self) -> None:
        """Those that have asked for nothing the longest are forgotten."""
        self.patch(token_tracker, "MAX_USERS", 3)
        tracker = TokenTracker()
        for number in range(5):
            tracker.add(f"u{number}", 1, 0, 0.0)
        self.assertEqual([tracker.tokens(f"u{number}", 0.0) for number in range(5)], [0, 0, 1, 1, 1])
