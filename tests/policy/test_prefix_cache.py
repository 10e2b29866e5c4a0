"""The policies that go by the prefix index, with AIBrix's cases (alg/prefix_cache_routing_test.go)."""

from __future__ import annotations

import random
from collections.abc import Sequence

from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.policy.cache_aware import CacheAware
from aibrix_twisted.policy.choice import Fallback, Missing
from aibrix_twisted.policy.load_aware import LoadAware
from aibrix_twisted.policy.prefix_cache import PrefixCache, imbalanced, matched
from aibrix_twisted.policy.prefix_scores import percents, spread
from tests.policy.fleet import NOW, ask, choice_of, fleet, index, names, say, seen


class RuleTests(SynchronousTestCase):
    """Who is matched."""

    def test_imbalance(self) -> None:
        """More than the bound, not as much."""
        for loads, bound, expected in (
            ((0, 8), 8, False), ((0, 9), 8, True), ((1, 2, 3, 9), 8, False), ((2, 2, 8, 16), 8, True),
        ):  # fmt: skip
            self.assertEqual(imbalanced(loads, bound), expected, loads)

    def matched(
        self, loads: Sequence[float], matches: Sequence[float], deviations: float = 1, imbalance: float = 1e9
    ) -> int | None:
        """The place of the matched one."""
        return matched(matches, loads, imbalance, deviations, fleet(len(loads)), random.Random(1))

    def test_aibrix(self) -> None:
        """The best match whose load is within the deviations; nobody where none is."""
        for loads, matches, deviations, place in (
            ((100, 10, 12), (100, 80, 60), 1, 1),
            ((20, 10, 30), (50, 50, 50), 1, 1),
            ((1, 2, 3, 4), (50, 60, 0, 0), 1, 1),
            ((1, 10, 1, 4), (50, 100, 0, 0), 1, 0),
            ((5, 200, 10), (0, 100, 0), 1, None),
            ((10, 15, 20), (100, 90, 80), 0, 0),
            ((1000, 10, 15), (100, 0, 0), 1000, 0),
        ):
            self.assertEqual(self.matched(loads, matches, deviations), place, (loads, matches))

    def test_out_of_balance(self) -> None:
        """Only the least loaded count then."""
        self.assertEqual(self.matched((2, 2, 8, 16), (0, 10, 100, 100), 9, 8), 1)
        self.assertIsNone(self.matched((2, 2, 8, 16), (0, 0, 100, 100), 9, 8))

    def test_figures(self) -> None:
        """Whole per cent; the deviation of a sample."""
        self.assertEqual(percents([1, 2, 3, 0], 3), [33, 66, 100, 0])
        self.assertEqual(percents([0], 0), [0])
        self.assertEqual(spread([5.0]), (5.0, 0.0))
        self.assertEqual(spread([1.0, 3.0]), (2.0, 2.0**0.5))


class PrefixCacheTests(SynchronousTestCase):
    """C{prefix-cache}, as AIBrix's C{Test_PrefixCacheE2E} goes."""

    def setUp(self) -> None:
        self.policy, self.replicas = PrefixCache(index(), 8, 1), fleet(4)

    def take(self, text: str, *, hold: bool = True) -> str:
        """One request, answered; held open after that or not."""
        choice = choice_of(self.policy, self.replicas, ask(text))
        memo = self.policy.chosen(choice.replica, ask(text), NOW)
        self.policy.ended(memo, NOW, well=True, usage=None)
        if hold:
            choice.replica.load.lease("m")
        return str(choice.replica.name)

    def test_it_goes_back(self) -> None:
        """To where it was; another one elsewhere; a longer one to the beginning's; not where that is too busy."""
        first = self.take("abcdegfh")
        other = self.take("wxyz")
        self.assertNotEqual(first, other)
        self.assertEqual(self.take("abcdegfh"), first)
        counts = {replica.name: replica.load.in_flight for replica in self.replicas}
        self.assertEqual((counts[first], counts[other]), (2, 1))
        third = self.take("abcd")
        self.assertNotEqual(third, first, "two above nought, nought and one")
        self.assertIn(self.take("abcdefghijkl"), (third, first))

    def test_scores(self) -> None:
        """Per cent of the prompt's blocks."""
        seen(self.policy.index, self.replicas[1], "aaaabbbb")
        self.assertEqual(self.policy.scores(self.replicas, ask("aaaabbbbcccc"), NOW), [0, 66, 0, 0])

    def test_what_cannot_match(self) -> None:
        """Shorter than a block, or no prompt at all: the least loaded, and why."""
        self.replicas[2].load.in_flight = -1
        for text, reason in (("abc", Missing.SHORT_PROMPT), ("", Missing.PROMPT)):
            choice = choice_of(self.policy, self.replicas, ask(text))
            self.assertEqual((choice.replica.name, choice.fallbacks), ("r2", (Fallback("prefix-cache", reason),)))
        self.assertEqual(choice_of(self.policy, self.replicas, ask("unheard")).fallbacks, ())

    def test_a_burst_is_kept_together(self) -> None:
        """Siblings that come before the first is answered go where it went, as long as that is not far above the
        others; whoever failed attracts nobody.
        """
        chosen = []
        for _ in range(2):
            choice = choice_of(self.policy, self.replicas, ask("abcdefgh"))
            chosen.append((choice.replica.name, self.policy.chosen(choice.replica, ask("abcdefgh"), NOW)))
        self.assertEqual(chosen[0][0], chosen[1][0])
        for _, memo in chosen:
            self.policy.ended(memo, NOW, well=False, usage=None)
        self.assertEqual(len(names(self.policy, self.replicas, ask("abcdefgh"))), 4)


class LoadAwareTests(SynchronousTestCase):
    """C{load-aware}: shares against shares."""

    def test_formula(self) -> None:
        """To be as loaded as the mean again costs one whole prompt; below one request on average, a request does."""
        policy, replicas = LoadAware(index()), fleet(2, 3, 1)
        seen(policy.index, replicas[0], "aaaabbbb")
        self.assertEqual(policy.scores(replicas, ask("aaaabbbb"), NOW), [1.0 - 0.5, 0.5])
        self.assertEqual(policy.scores(replicas, ask("aaaabbbbccccdddd"), NOW), [0.0, 0.5])
        replicas[0].load.in_flight, replicas[1].load.in_flight = 1, 0
        self.assertEqual(policy.scores(replicas, ask("aaaabbbb"), NOW), [0.5, 0.5])

    def test_choice(self) -> None:
        """The prompt's holder, until it is too far above the others."""
        policy, replicas = LoadAware(index()), fleet(3, 4, 4, 4)
        seen(policy.index, replicas[2], "aaaabbbb")
        self.assertEqual(names(policy, replicas, ask("aaaabbbb")), {"r2"})
        replicas[2].load.in_flight = 20
        self.assertEqual(names(policy, replicas, ask("aaaabbbb")), {"r0", "r1"})


class CacheAwareTests(SynchronousTestCase):
    """C{cache-aware}: the peers' rule, corrected."""

    def setUp(self) -> None:
        self.policy, self.replicas = CacheAware(index()), fleet(3)

    def test_in_balance(self) -> None:
        """The longest beginning, if it is long enough; of equals the least loaded; else the least loaded of all."""
        seen(self.policy.index, self.replicas[0], "aaaabbbb")
        seen(self.policy.index, self.replicas[1], "aaaabbbb")
        self.replicas[0].load.in_flight = 9
        self.replicas[1].load.in_flight = 5
        self.assertEqual(names(self.policy, self.replicas, ask("aaaabbbbcccc")), {"r1"})
        self.assertEqual(names(self.policy, self.replicas, ask("aaaabbbb" + "c" * 24)), {"r2"}, "a quarter of it")

    def test_out_of_balance(self) -> None:
        """Whoever is not far above the least loaded still counts with what it has (theirs looks at loads alone)."""
        seen(self.policy.index, self.replicas[0], "aaaabbbb")
        seen(self.policy.index, self.replicas[1], "aaaa")
        for replica, load in zip(self.replicas, (200, 60, 5), strict=True):
            replica.load.in_flight = load
        self.assertEqual(names(self.policy, self.replicas, ask("aaaabbbb")), {"r1"})

    def test_a_full_cache(self) -> None:
        """Is left alone while there are others."""
        seen(self.policy.index, self.replicas[0], "aaaabbbb")
        say(self.replicas[0], kv_usage=0.99)
        self.assertEqual(names(self.policy, self.replicas, ask("aaaabbbb")), {"r1", "r2"})
        for replica in self.replicas:
            say(replica, kv_usage=0.99)
        self.assertEqual(names(self.policy, self.replicas, ask("aaaabbbb")), {"r0"})
