"""C{vtc-basic}, with AIBrix's cases (alg/vtc/vtc_basic_test.go)."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.domain.prompt import Prompt
from aibrix_twisted.domain.token_tracker import TokenTracker
from aibrix_twisted.policy.ask import Ask
from aibrix_twisted.policy.choice import Fallback, Missing, Usage
from aibrix_twisted.policy.vtc_basic import VtcBasic
from tests.policy.fleet import NOW, choice_of, fleet, names, say


class PlaceTests(SynchronousTestCase):
    """Where users belong."""

    def setUp(self) -> None:
        self.tracker = TokenTracker()
        self.policy = VtcBasic(self.tracker)

    def test_aibrix(self) -> None:
        """Three replicas in their order; one user who has had this much."""
        for tokens, weights in ((2250, (1.0, 1.0)), (10_000, (1.0, 1.0)), (4500, (0.5, 0.5))):
            tracker = TokenTracker()
            tracker.add("u", tokens, 0, NOW)
            self.assertEqual(names(VtcBasic(tracker, *weights), fleet(3), Ask(user="u")), {"r1"}, tokens)

    def test_who_has_had_little_is_first(self) -> None:
        """And who has had much is last; the same user is always in the same place."""
        self.tracker.add("much", 9000, 0, NOW)
        self.tracker.add("little", 10, 0, NOW)
        self.assertEqual(names(self.policy, fleet(2), Ask(user="little")), {"r0"})
        self.assertEqual(names(self.policy, fleet(2), Ask(user="much")), {"r1"})

    def test_busy_ones_are_passed_over(self) -> None:
        """By what engines say; by what we gave, where they say nothing; a hundred are as many as any number."""
        replicas = fleet(2)
        say(replicas[0], running=1e30)
        self.assertEqual(self.policy.scores(replicas, Ask(user="u"), NOW), [1.0, 1.0])
        replicas[0] = fleet(2, 50)[0]
        self.assertEqual(self.policy.scores(replicas, Ask(user="u"), NOW), [0.5, 1.0])

    def test_no_user(self) -> None:
        """The least loaded, and that is told; nothing is counted."""
        choice = choice_of(self.policy, fleet(2, 1, 0), Ask())
        self.assertEqual((choice.replica.name, choice.fallbacks), ("r1", (Fallback("vtc-basic", Missing.USER),)))
        self.policy.ended(self.policy.chosen(choice.replica, Ask(), NOW), NOW, well=True, usage=Usage(5, 5))
        self.assertEqual(self.tracker.extremes(NOW), (1000.0, 8000.0))


class CountTests(SynchronousTestCase):
    """What a user has had."""

    def counted(self, *, well: bool, usage: Usage | None) -> tuple[float, float]:
        """Of "test message": while it is under way, and after."""
        tracker = TokenTracker(300.0, 5, 1.0, 1.0)
        policy, ask = VtcBasic(tracker), Ask(Prompt(len("test message")), user="u")
        memo = policy.chosen(fleet(1)[0], ask, NOW)
        before = tracker.tokens("u", NOW)
        policy.ended(memo, NOW, well=well, usage=usage)
        return before, tracker.tokens("u", NOW)

    def test_estimated_then_counted(self) -> None:
        """Three tokens and five, as AIBrix guesses; then what the engine says; nothing, where it failed."""
        self.assertEqual(self.counted(well=True, usage=Usage(4, 40)), (8, 44))
        self.assertEqual(self.counted(well=True, usage=None), (8, 8))
        self.assertEqual(self.counted(well=False, usage=None), (8, 0))
