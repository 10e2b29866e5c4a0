"""What may be sent again, and how often."""

from __future__ import annotations

import itertools

from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.domain.assembly import Outcome
from aibrix_twisted.policy.retry import Again, Progress, RetryBudget, again, backoff_s
from aibrix_twisted.wire.routes import ROUTES

#: How far it got x how it ended: what may be done about a request that keeps no state, on a connection that was new.
#: What is not here is Again.NO.
TABLE = {
    (Progress.NOTHING_SENT, Outcome.TRUNCATED): Again.ELSEWHERE,
    (Progress.NOTHING_SENT, Outcome.BROKEN): Again.ELSEWHERE,
    (Progress.NOTHING_RECEIVED, Outcome.TRUNCATED): Again.RETRY,
    (Progress.NOTHING_RECEIVED, Outcome.BROKEN): Again.RETRY,
    (Progress.RECEIVED, Outcome.TRUNCATED): Again.RETRY,
    (Progress.RECEIVED, Outcome.BROKEN): Again.RETRY,
}

STATUSES = (0, 200, 400, 401, 404, 408, 422, 429, 500, 502, 503, 504)


class AgainTests(SynchronousTestCase):
    """A table over everything that there is."""

    def test_what_broke(self) -> None:
        """Each point of failure, outcome and status; stateful or not, on a connection that had served before or not."""
        product = itertools.product(Progress, Outcome, STATUSES, (False, True), (False, True))
        for progress, outcome, status, stateful, reused in product:
            expected = TABLE.get((progress, outcome), Again.NO)
            if expected is Again.RETRY and reused and progress is Progress.NOTHING_RECEIVED:
                expected = Again.RESEND
            if outcome is Outcome.COMPLETE and status in (429, 500, 503) and progress is not Progress.DELIVERED:
                expected = Again.RETRY
            if stateful and expected is not Again.ELSEWHERE:
                expected = Again.NO
            found = again(progress, outcome, status, stateful=stateful, reused=reused)
            self.assertIs(found, expected, (progress, outcome, status, stateful, reused))

    def test_routes(self) -> None:
        """Which paths keep state at the engine: a stored response may be there already; nothing else may."""
        self.assertEqual({path for path, route in ROUTES.items() if route.stateful}, {b"/v1/responses"})

    def test_backoff(self) -> None:
        """Doubled up to a bound; half of it is by lot."""
        self.assertEqual([backoff_s(nth, 0.1, 1.0, 1.0) for nth in (1, 2, 3, 4, 5, 60)], [0.1, 0.2, 0.4, 0.8, 1.0, 1.0])
        self.assertEqual(backoff_s(2, 0.1, 1.0, 0.0), 0.1)
        self.assertEqual(backoff_s(1, 0.0, 1.0, 0.5), 0.0)


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
