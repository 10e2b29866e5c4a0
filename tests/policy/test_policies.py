"""The policies: fair, and counting before they send."""

from __future__ import annotations

import random
from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from aibrix_twisted.interfaces import IPolicy
from aibrix_twisted.policy import BLENDED, EXCLUSIVE, POLICIES
from aibrix_twisted.policy.ask import NOTHING_ASKED, Ask
from aibrix_twisted.policy.choice import Usage
from aibrix_twisted.policy.means import Means
from aibrix_twisted.policy.policy import Policy
from aibrix_twisted.policy.scorer import Scorer
from tests.policy.fleet import NOW, ask, choice_of, fleet, index, names, say

#: Those that go by their own rule, whatever the weights, for some requests.
_ASKED = ask("aaaabbbbcccc", user="u", session_key=b"k", max_tokens=9)


def made(name: str) -> Policy:
    """One, that knows nothing yet."""
    return POLICIES[name](Means(index()))


class AllTests(SynchronousTestCase):
    """What holds for all."""

    def test_each_is_a_policy_that_chooses_a_candidate(self) -> None:
        """Of one or of many, with whatever is asked; and hears what came of it."""
        for name in POLICIES:
            policy = made(name)
            verifyObject(IPolicy, policy)
            self.assertEqual(policy.name, name)
            for count in (1, 2, 5):
                replicas = fleet(count)
                for asked in (NOTHING_ASKED, _ASKED):
                    for turn in range(10):
                        choice = choice_of(policy, replicas, asked, seed=turn)
                        self.assertIn(choice.replica, replicas)
                        for figures in choice.why.values():
                            self.assertEqual(len(figures), count, name)
                        memo = policy.chosen(choice.replica, asked, NOW)
                        if turn % 3:
                            policy.answered(memo, NOW + 0.5)
                        policy.ended(memo, NOW + 1.0, well=turn % 2 == 0, usage=Usage(3, 5) if turn % 4 else None)

    def test_to_ask_changes_nothing(self) -> None:
        """A policy that is asked what it would do does the same afterwards as one that was not."""
        for name in POLICIES:
            said = []
            for asked_before in (0, 7):
                policy, replicas, rng = made(name), fleet(4, 3, 1, 0, 2), random.Random(3)
                for _ in range(asked_before):
                    choice_of(policy, replicas, _ASKED)
                chosen = []
                for _ in range(12):
                    choice = policy.choose(replicas, _ASKED, NOW, rng)
                    assert choice is not None
                    policy.chosen(choice.replica, _ASKED, NOW)
                    chosen.append(choice.replica.name)
                said.append(chosen)
            self.assertEqual(said[0], said[1], name)

    def test_replicas_that_are_gone(self) -> None:
        """Are forgotten, though something is under way there still; those that there are are not."""
        for name in POLICIES:
            policy, replicas = made(name), fleet(3)
            memos = [policy.chosen(replica, _ASKED, NOW) for replica in replicas]
            policy.forget_all_but({"r0"})
            for memo in memos:
                policy.answered(memo, NOW + 0.5)
                policy.ended(memo, NOW + 1.0, well=True, usage=Usage(3, 5))
            for slot in {slot for kind in type(policy).__mro__ for slot in getattr(kind, "__slots__", ())}:
                remembered = getattr(policy, slot)
                if isinstance(remembered, dict) and name != "least-latency":
                    self.assertLessEqual(set(remembered), {"r0"}, (name, slot))
            self.assertIn(choice_of(policy, replicas, _ASKED).replica, replicas)

    def test_the_lists_are_right(self) -> None:
        """What can be blended gives scores, and the other way round."""
        self.assertEqual({name for name in POLICIES if isinstance(made(name), Scorer)}, BLENDED)
        self.assertLess(EXCLUSIVE, set(POLICIES))
        self.assertFalse(EXCLUSIVE & BLENDED)

    @given(
        st.lists(
            st.tuples(st.integers(0, 50), st.floats(0.01, 1000.0), st.one_of(st.none(), st.floats(0, 1e300))),
            min_size=1,
            max_size=6,
        )
    )
    @settings(deadline=None, max_examples=60)
    def test_absurd_figures(self, rows: list[tuple[int, float, float | None]]) -> None:
        """Whatever engines say, a candidate is chosen, and nothing is raised."""
        for name in POLICIES:
            policy, replicas = made(name), fleet(len(rows))
            for replica, (load, weight, said) in zip(replicas, rows, strict=True):
                replica.load.in_flight, replica.weight = load, weight
                if said is not None:
                    figures = dict.fromkeys(("running", "waiting", "prompt_tokens", "generation_tokens"), said)
                    say(replica, NOW - 10, kv_usage=0.5, **dict.fromkeys(figures, 0.0))
                    say(replica, kv_usage=min(said, 1.0), **figures)
            self.assertIn(choice_of(policy, replicas, _ASKED).replica, replicas)


class RandomTests(SynchronousTestCase):
    """C{random}."""

    def test_it_is_even(self) -> None:
        """Over 9 000 draws of three, each within a tenth of its third."""
        policy, replicas, rng = made("random"), fleet(3), random.Random(4)
        counts: Counter[str] = Counter()
        for _ in range(9000):
            choice = policy.choose(replicas, NOTHING_ASKED, NOW, rng)
            assert choice is not None
            counts[choice.replica.name] += 1
        for name in ("r0", "r1", "r2"):
            self.assertLess(abs(counts[name] - 3000), 300)


class RoundRobinTests(SynchronousTestCase):
    """C{round-robin}."""

    def setUp(self) -> None:
        self.policy, self.replicas = made("round-robin"), fleet(3)

    def take(self, *left_out: int) -> str:
        """One turn."""
        candidates = [replica for place, replica in enumerate(self.replicas) if place not in left_out]
        choice = choice_of(self.policy, candidates)
        self.policy.chosen(choice.replica, NOTHING_ASKED, NOW)
        return str(choice.replica.name)

    def test_turns(self) -> None:
        """Each once a round; one left out for a while is next; newcomers come first."""
        self.assertEqual([self.take() for _ in range(6)], ["r0", "r1", "r2", "r0", "r1", "r2"])
        self.assertEqual([self.take(0), self.take(0)], ["r1", "r2"])
        self.assertEqual(self.take(), "r0")

    def test_an_absence_is_not_made_up_for(self) -> None:
        """Whoever was away for long is next, once."""
        for _ in range(100):
            self.take(0)
        counts = Counter(self.take() for _ in range(30))
        self.assertLessEqual(max(counts.values()) - min(counts.values()), 2)


class LeastRequestTests(SynchronousTestCase):
    """C{least-request}, with AIBrix's cases (alg/least_request_test.go)."""

    def test_aibrix(self) -> None:
        """The fewest; of equals, any."""
        for loads, chosen in (((1, 2, 3, 9), {"r0"}), ((1, 5, 1), {"r0", "r2"}), ((3, 0, 9), {"r1"})):
            self.assertEqual(names(made("least-request"), fleet(len(loads), *loads)), chosen, loads)

    def test_a_burst_spreads(self) -> None:
        """A lease counts before anything is sent, so thirty at once go ten each to three."""
        policy, replicas = made("least-request"), fleet(3)
        for turn in range(30):
            choice_of(policy, replicas, seed=turn).replica.load.lease("m")
        self.assertEqual([replica.load.in_flight for replica in replicas], [10, 10, 10])

    def test_ties_by_lot(self) -> None:
        """An idle fleet is not always entered by the same door; the busy one is left alone."""
        policy, replicas = made("least-request"), fleet(3, 0, 1, 0)
        counts = Counter(choice_of(policy, replicas, seed=turn).replica.name for turn in range(2000))
        self.assertEqual(counts["r1"], 0)
        self.assertLess(abs(counts["r0"] - 1000), 150)


class PowerOfTwoTests(SynchronousTestCase):
    """C{power-of-two}."""

    def test_the_busiest_is_never_taken(self) -> None:
        """Whoever it is drawn with has less; any other may be."""
        self.assertEqual(names(made("power-of-two"), fleet(4, 1, 9, 3, 2)), {"r0", "r2", "r3"})
        self.assertEqual(names(made("power-of-two"), fleet(2, 5, 10)), {"r0"})
        self.assertEqual(names(made("power-of-two"), fleet(3, 5, 5, 5)), {"r0", "r1", "r2"})

    def test_it_says_whom_it_drew(self) -> None:
        """Two."""
        choice = choice_of(made("power-of-two"), fleet(5, 1, 2, 3, 4, 5))
        self.assertEqual(sum(choice.why["drawn"]), 2)


class WeightTests(SynchronousTestCase):
    """A replica of three times the weight gets three times as much, where nothing else tells them apart."""

    def test_at_rest_and_under_load(self) -> None:
        """By lot, in turn, or by load."""
        for name in sorted(set(POLICIES) - {"power-of-two", "prefix-cache-preble"}):
            policy, replicas, rng = made(name), fleet(2), random.Random(5)
            replicas[1].weight = 3.0
            at_rest: Counter[str] = Counter()
            for _ in range(4000):
                choice = policy.choose(replicas, Ask(), NOW, rng)
                assert choice is not None
                at_rest[choice.replica.name] += 1
                if name == "round-robin":
                    policy.chosen(choice.replica, Ask(), NOW)
            self.assertLess(abs(at_rest["r1"] - 3000), 150, name)
            for _ in range(40):
                choice = policy.choose(replicas, Ask(), NOW, rng)
                assert choice is not None
                choice.replica.load.lease("m")
            if name in ("least-request", "consistent-hash", "prefix-cache", "cache-aware", "least-work"):
                self.assertEqual([replica.load.in_flight for replica in replicas], [10, 30], name)
