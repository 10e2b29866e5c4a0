"""What may be sent again, and how often."""

from __future__ import annotations

import itertools

from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.domain.assembly import Outcome
from aibrix_twisted.policy.retry import Progress, RetryBudget, may_repeat


class MayRepeatTests(SynchronousTestCase):
    """A table over everything that there is."""

    def test_whole_table(self) -> None:
        """Only what the replica broke, while nothing went to the client; the stateful only while nothing was sent."""
        for progress, outcome, stateful in itertools.product(Progress, Outcome, (False, True)):
            expected = (
                outcome in (Outcome.TRUNCATED, Outcome.BROKEN)
                and progress is not Progress.DELIVERED
                and (not stateful or progress is Progress.NOTHING_SENT)
            )
            self.assertEqual(may_repeat(progress, outcome, stateful=stateful), expected, (progress, outcome, stateful))


class RetryBudgetTests(SynchronousTestCase):
    """A share of the traffic, and a floor."""

    def test_floor(self) -> None:
        """With no traffic at all, the floor and no more."""
        budget = RetryBudget(0.2, floor=3)
        self.assertEqual([budget.take(5.0) for _ in range(4)], [True, True, True, False])

    def test_share(self) -> None:
        """A fifth of a thousand requests."""
        budget = RetryBudget(0.2, floor=3)
        for _ in range(1000):
            budget.count_request(7.0)
        self.assertEqual(sum(budget.take(7.9) for _ in range(500)), 200)

    def test_window_moves_on(self) -> None:
        """After ten seconds nothing is remembered; before, everything is."""
        budget = RetryBudget(0.0, floor=2)
        self.assertTrue(budget.take(100.0) and budget.take(104.0))
        self.assertFalse(budget.take(109.9))
        self.assertTrue(budget.take(110.0), "the retry of second 100 is forgotten")
        self.assertFalse(budget.take(110.0))
        self.assertTrue(budget.take(10_000.0))

    def test_a_clock_that_stands_or_jumps(self) -> None:
        """Any order of seconds keeps the counts within what was counted."""
        budget = RetryBudget(1.0, floor=0)
        for second in (5.0, 5.0, 6.0, 200.0):
            budget.count_request(second)
        self.assertEqual([budget.take(200.0) for _ in range(2)], [True, False])
