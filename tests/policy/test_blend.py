"""Several policies as one, with AIBrix's cases (alg/router_test.go)."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf, nan

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.policy.ask import Ask, Needs
from aibrix_twisted.policy.blend import Blend, blended, normalised
from aibrix_twisted.policy.choice import Fallback, Missing, Usage
from aibrix_twisted.policy.least_request import LeastRequest
from aibrix_twisted.policy.least_work import LeastWork
from aibrix_twisted.policy.prefix_cache import PrefixCache
from aibrix_twisted.policy.scorer import Scorer
from aibrix_twisted.policy.session_affinity import SessionAffinity
from aibrix_twisted.policy.throughput import Throughput
from tests.policy.fleet import NOW, ask, choice_of, fleet, grow, index, names

#: Scores, whether the most is best, weight.
Row = tuple[Sequence[float], bool, int]


class ScoreTests(SynchronousTestCase):
    """The arithmetic."""

    def test_aibrix(self) -> None:
        """One or two strategies; who has no score is the worst."""
        for rows, expected in (
            ([((10, 20, 30), True, 1)], [0, 0.5, 1]),
            ([((10, 20, 30), False, 1)], [1, 0.5, 0]),
            ([((100, 50, 0), True, 2), ((30, 20, 10), False, 8)], [0.2, 0.5, 0.8]),
            ([((100, 50, nan), True, 1), ((10, 20, 30), True, 1)], [0.5, 0.25, 0.5]),
            ([((nan, nan, nan), True, 1), ((10, 30, 20), True, 1)], [0, 0.5, 0.25]),
            ([((10, 10, nan), True, 1)], [1, 1, 0]),
            ([((10, 20, 30), True, 1), ((10, 20, 30), False, 3)], [0.75, 0.5, 0.25]),
            ([((inf, 20, 10, -inf), True, 1)], [0, 1, 0, 0]),
        ):
            of: list[Row] = rows  # type: ignore[assignment]
            sums = blended([(normalised(scores, most=most), weight) for scores, most, weight in of])
            for sum, wanted in zip(sums, expected, strict=True):
                self.assertAlmostEqual(sum, wanted)

    @given(st.lists(st.floats(), min_size=1, max_size=8), st.booleans())
    def test_from_nought_to_one(self, scores: list[float], most: bool) -> None:
        """Whatever the figures, and how far apart."""
        for value in normalised(scores, most=most):
            self.assertTrue(0.0 <= value <= 1.0, scores)


def told(prompt: float, answer: float) -> dict[str, float]:
    """So many tokens a second."""
    return {"prompt_tokens": 10 * prompt, "generation_tokens": 10 * answer}


class BlendTests(SynchronousTestCase):
    """Real policies."""

    def blend(self, *scorers: tuple[Scorer, int]) -> Blend:
        """These."""
        return Blend("blend", scorers)

    def test_least_request_and_throughput(self) -> None:
        """Neither's favourite, but the one that is good enough for both."""
        replicas = fleet(3, 1, 50, 10)
        for replica, figures in zip(replicas, (told(500, 500), told(5, 5), told(50, 50)), strict=True):
            grow(replica, **figures)
        self.assertEqual(names(LeastRequest(), replicas), {"r0"})
        self.assertEqual(names(Throughput(), replicas), {"r1"})
        choice = choice_of(self.blend((LeastRequest(), 1), (Throughput(), 1)), replicas)
        self.assertEqual(choice.replica.name, "r2")
        for sum, expected in zip(choice.why["score"], (0.5, 0.5, 0.8627), strict=True):
            self.assertAlmostEqual(sum, expected, 4)
        self.assertEqual(set(choice.why), {"least-request", "throughput", "score"})

    def test_no_match(self) -> None:
        """Where nobody has anything of the prompt all are alike in that, and the rest decides."""
        replicas = fleet(2, 10, 2)
        grow(replicas[0], **told(100, 50))
        grow(replicas[1], **told(10, 5))
        blend = self.blend((PrefixCache(index(), 8, 1), 6), (LeastRequest(), 1), (Throughput(), 1))
        choice = choice_of(blend, replicas, ask("aaaabbbb"))
        self.assertEqual(choice.replica.name, "r1")
        self.assertEqual(list(choice.why["score"]), [6 / 8, 1.0])

    def test_no_session(self) -> None:
        """Then the load."""
        blend = self.blend((SessionAffinity(), 10), (LeastRequest(), 1))
        self.assertEqual(names(blend, fleet(2, 10, 2), Ask()), {"r1"})
        self.assertEqual(names(blend, fleet(2, 10, 2), Ask(session="r0")), {"r0"})

    def test_what_is_missing(self) -> None:
        """Of one of them is told, and the other decides."""
        choice = choice_of(self.blend((Throughput(), 5), (LeastRequest(), 1)), fleet(2, 3, 1))
        self.assertEqual((choice.replica.name, choice.fallbacks), ("r1", (Fallback("throughput", Missing.METRICS),)))

    def test_everyone_is_told(self) -> None:
        """What was chosen, when it began, and how it ended (AIBrix's vtc-basic is not)."""
        known = index()
        work = LeastWork(known)
        blend = self.blend((work, 1), (LeastRequest(), 1))
        self.assertEqual((blend.needs, blend.learns), (Needs.PROMPT, True))
        replicas, asked = fleet(2), ask("a" * 4000)
        memo = blend.chosen(replicas[0], asked, NOW)
        self.assertGreater(work.scores(replicas, ask("b" * 4000), NOW)[0], work.scores(replicas, asked, NOW)[0])
        blend.answered(memo, NOW + 1.0)
        blend.ended(memo, NOW + 2.0, well=True, usage=Usage(1, 1))
        self.assertEqual(known.depths(asked.prompt, replicas), [1000, 0])
        self.assertEqual(self.blend((LeastRequest(), 1), (LeastRequest(), 1)).learns, False)
