"""C{least-work}: the soonest first token."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.domain.prefill import USUAL_RATE
from aibrix_twisted.policy.ask import Ask
from aibrix_twisted.policy.least_work import SPARED, LeastWork
from tests.policy.fleet import NOW, ask, choice_of, fleet, index, names


class WorkTests(SynchronousTestCase):
    """Three replicas, of which nothing is known."""

    def setUp(self) -> None:
        self.policy, self.replicas = LeastWork(index()), fleet(3)

    def give(self, place: int, asked: Ask, now: float = NOW) -> Any:
        """One is given this."""
        return self.policy.chosen(self.replicas[place], asked, now)

    def serve(self, place: int, asked: Ask, now: float, took: float) -> None:
        """And answers after so long."""
        memo = self.give(place, asked, now)
        self.policy.answered(memo, now + took)
        self.policy.ended(memo, now + took + 1.0, well=True, usage=None)

    def test_what_is_ahead(self) -> None:
        """Whoever has less to read is sooner, however many requests that is."""
        self.give(0, ask("a" * 40_000))
        for _ in range(5):
            self.give(1, ask("b" * 400))
            self.replicas[1].load.lease("m")
        self.assertEqual(names(self.policy, self.replicas[:2], ask("c" * 400)), {"r1"})
        self.assertEqual(names(self.policy, self.replicas, ask("c" * 400)), {"r2"})

    def test_what_it_has(self) -> None:
        """Need not be read, so its holder may have other things ahead, up to a point."""
        long = "a" * 40_000
        self.serve(0, ask(long), 0.0, 1.0)
        self.assertEqual(names(self.policy, self.replicas, ask(long + "more")), {"r0"})
        self.give(0, ask("b" * 40_000))
        self.assertEqual(names(self.policy, self.replicas, ask(long + "more")), {"r0"}, "it is as far, and spares work")
        self.give(0, ask("c" * 40_000))
        self.assertEqual(names(self.policy, self.replicas, ask(long + "more")), {"r1", "r2"})

    def test_figures(self) -> None:
        """Seconds, and what is spared counts for half as much again."""
        memo = self.give(0, ask("a" * 40_000))
        (first, *_), (own, *_) = self.policy._predicted(self.replicas, ask("b" * 20_000), NOW)
        self.assertAlmostEqual(first, 40_000 / USUAL_RATE)
        self.assertAlmostEqual(own, 20_000 / USUAL_RATE)
        scores = self.policy.scores(self.replicas, ask("b" * 20_000), NOW)
        self.assertAlmostEqual(scores[0], 1.0 + (1.0 + SPARED) * 0.5)
        self.policy.ended(memo, NOW, well=False, usage=None)
        self.assertAlmostEqual(self.policy.scores(self.replicas, ask("b" * 20_000), NOW)[0], (1.0 + SPARED) * 0.5)

    def test_time_passes(self) -> None:
        """What was given is read by and by; its first token says that it is done."""
        memo = self.give(0, ask("a" * 40_000))
        ahead = [self.policy._predicted(self.replicas, Ask(), NOW + later)[0][0] for later in (0.0, 0.5, 5.0)]
        for found, expected in zip(ahead, (1.0, 0.5, 0.0), strict=True):
            self.assertAlmostEqual(found, expected)
        self.policy.answered(memo, NOW + 0.1)
        self.assertEqual(self.policy._predicted(self.replicas, Ask(), NOW + 0.1)[0][0], 0.0)

    def test_how_fast_each_reads_is_learned(self) -> None:
        """From when its first tokens came: the faster one may have more ahead."""
        for turn in range(30):
            self.serve(0, ask(f"{turn:04}" * 2000), turn * 10.0, 0.1)
            self.serve(1, ask(f"{turn:04}" * 2000), turn * 10.0, 2.0)
        asked = ask("z" * 8000)
        _, reads = self.policy._predicted(self.replicas, asked, 1000.0)
        self.assertLess(abs(reads[0] - 0.1), 0.02)
        self.assertLess(abs(reads[1] - 2.0), 0.2)
        self.assertTrue(reads[0] < reads[2] < reads[1], "one that is not known is taken for a usual one")
        self.give(0, ask("y" * 8000), 1000.0)
        self.assertEqual(self.policy.choose(self.replicas[:2], asked, 1000.0, _NO_LOT).replica.name, "r0")

    def test_alike(self) -> None:
        """By load, and then by lot; a moment more or less to read does not matter."""
        self.replicas[1].load.in_flight = 2
        self.assertEqual(names(self.policy, self.replicas, ask("aaaa")), {"r0", "r2"})
        self.give(0, ask("a" * 40))
        self.assertEqual(names(self.policy, self.replicas, ask("bbbb")), {"r0", "r2"})
        self.assertEqual(names(self.policy, self.replicas, Ask()), {"r0", "r2"})

    def test_it_says_why(self) -> None:
        """Each part of it."""
        self.assertEqual(
            set(choice_of(self.policy, self.replicas, ask("aaaa")).why), {"score", "ahead_s", "own_s", "load"}
        )


class _NoLot:
    def random(self) -> float:
        raise AssertionError("there was nothing to draw")

    def randrange(self, stop: int, /) -> int:
        raise AssertionError("there was nothing to draw")


_NO_LOT = _NoLot()
