"""C{prefix-cache-preble}: known prompts to who knows them, others where they cost least."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.policy.ask import Ask
from aibrix_twisted.policy.preble_cost import A6000, V100, prefill_s
from aibrix_twisted.policy.prefix_cache_preble import WINDOW_S, PrefixCachePreble
from tests.policy.fleet import NOW, ask, fleet, index, names, seen


class CostTests(SynchronousTestCase):
    """Preble's fits, as AIBrix has them."""

    def test_each_piece(self) -> None:
        """Few, some, many and very many new tokens; near and far contexts; both GPUs."""
        for gpu, tokens, context, ms in (
            (V100, 100, 100, 55 + 0.4),
            (V100, 200, 2000, -295 + 625 - 256 + (4.65e-4 * 2000 + 0.398) / 2),
            (V100, 2000, 2000, 0.27106428 * 2000 + 10.52444263 + 4.65e-4 * 2000 + 0.398),
            (
                V100, 5000, 9000,
                0.27106428 * 5000 + 10.52444263 + 4.65e-4 * 9000 + 0.398 - 18.425 + 9.65e-3 * 5000 + 5.4e-6 * 25e6,
            ),
            (A6000, 100, 1024, 22 + 0.16),
            (A6000, 300, 1025, -118 + 375 - 2.56e-3 * 90000 + (1.86e-4 * 1025 + 0.159) / 2),
            (A6000, 1025, 1025, 0.10842571 * 1025 + 4.209777054806409 + 1.86e-4 * 1025 + 0.159),
        ):  # fmt: skip
            self.assertAlmostEqual(prefill_s(tokens, context, gpu), ms / 0.9 / 1000, 9, (tokens, context))


class RuleTests(SynchronousTestCase):
    """Who gets it."""

    def setUp(self) -> None:
        self.policy, self.replicas = PrefixCachePreble(index(), 8), fleet(4)

    def give(self, place: int, text: str, now: float = NOW) -> None:
        """One replica is given this, and answers."""
        memo = self.policy.chosen(self.replicas[place], ask(text), now)
        self.policy.ended(memo, now, well=True, usage=None)

    def test_a_known_prompt(self) -> None:
        """Goes to one of those that know it: the one that was given less, of equals any."""
        for place in (0, 2):
            self.give(place, "aaaabbbbcccc")
        self.assertEqual(names(self.policy, self.replicas, ask("aaaabbbbcccc")), {"r0", "r2"})
        self.give(0, "another")
        self.assertEqual(names(self.policy, self.replicas, ask("aaaabbbbcccc")), {"r2"})

    def test_out_of_balance(self) -> None:
        """Only the least loaded of them."""
        for replica, load in zip(self.replicas, (1, 1, 10, 10), strict=True):
            replica.load.in_flight = load
            seen(self.policy.index, replica, "aaaabbbb")
        self.assertEqual(names(self.policy, self.replicas, ask("aaaabbbb")), {"r0", "r1"})

    def test_an_unknown_prompt(self) -> None:
        """Goes where least was given of late; what was given long ago is forgotten."""
        for place in (0, 1, 2):
            self.give(place, "aaaabbbb" + str(place), NOW - place * 100)
        self.assertEqual(names(self.policy, self.replicas, ask("zzzz")), {"r2", "r3"} if WINDOW_S < 200 else {"r3"})
        self.assertEqual(names(self.policy, self.replicas[:2], ask("zzzz")), {"r0", "r1"})

    def test_half_known_is_not_known(self) -> None:
        """What is known of it makes it cheaper there, and no more than that."""
        long = "a" * 4000
        seen(self.policy.index, self.replicas[1], long[:1600])
        self.assertEqual(names(self.policy, self.replicas, ask(long)), {"r1"})
        self.give(1, "b" * 6000)
        self.assertEqual(names(self.policy, self.replicas, ask(long)), {"r0", "r2", "r3"})

    def test_scores(self) -> None:
        """Of a request without a prompt, too; to ask moves nothing."""
        first = self.policy.scores(self.replicas, Ask(), NOW)
        self.assertEqual(len(set(first)), 1)
        self.assertEqual(self.policy.scores(self.replicas, Ask(), NOW), first)
