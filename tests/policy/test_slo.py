"""The C{slo} family, with AIBrix's cases (alg/least_load_test.go, alg/slo_test.go) where ours are the same."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.domain.gpu_profile import GpuProfile
from aibrix_twisted.domain.prompt import Prompt
from aibrix_twisted.domain.replica import Replica
from aibrix_twisted.domain.settings import SloSettings
from aibrix_twisted.policy.ask import Ask
from aibrix_twisted.policy.choice import Fallback, Missing, Usage
from aibrix_twisted.policy.slo import Slo, late
from tests.policy.fleet import NOW, choice_of, fleet, names

EASY = SloSettings(e2e=1000.0)


def profile(at_once: float, e2e: float = 10.0, ttft: float = 1.0) -> GpuProfile:
    """A GPU that does so many at once, each in so many seconds."""
    return GpuProfile((1.0,), (100.0,), ((at_once / e2e,),), ((e2e,),), ((ttft,),))


class SloTestCase(SynchronousTestCase):
    """Three replicas."""

    def made(self, name: str, *profiles: GpuProfile | None, slo: SloSettings | None = EASY) -> Slo:
        """A policy."""
        known = dict(zip(("r0", "r1", "r2"), profiles, strict=False))
        self.replicas = fleet(3)
        return Slo(name, slo, lambda replica: known.get(replica.name))

    def give(self, policy: Slo, *places: int) -> list[Any]:
        """These are given one each."""
        return [policy.chosen(self.replicas[place], Ask(), NOW) for place in places]

    def chosen(self, policy: Slo) -> set[str]:
        """Who may be."""
        return names(policy, self.replicas)


class LoadTests(SloTestCase):
    """Emptiest, fullest, and full."""

    def test_the_emptiest(self) -> None:
        """For C{slo} and C{slo-least-load}: .3, .1 and .5 taken up."""
        for name in ("slo", "slo-least-load"):
            policy = self.made(name, *[profile(10.0)] * 3)
            self.give(policy, 0, 0, 0, 1, 2, 2, 2, 2, 2)
            self.assertEqual(self.chosen(policy), {"r1"})

    def test_parts_differ_by_gpu(self) -> None:
        """What is a tenth of one is a half of another."""
        policy = self.made("slo-least-load", profile(10.0), profile(2.0), profile(2.0))
        self.give(policy, 0, 0, 1, 2)
        self.assertEqual(self.chosen(policy), {"r0"})

    def test_the_fullest_that_has_room(self) -> None:
        """For C{slo-pack-load}: the same one again, until it is full; then the next."""
        policy = self.made("slo-pack-load", *[profile(3.0)] * 3)
        order = []
        for _ in range(9):
            choice = choice_of(policy, self.replicas)
            policy.chosen(choice.replica, Ask(), NOW)
            order.append(choice.replica.name)
        self.assertEqual(order, ["r0"] * 3 + ["r1"] * 3 + ["r2"] * 3)
        self.assertIsNone(choice_of(policy, self.replicas))

    def test_nobody_has_room(self) -> None:
        """C{slo} rather waits, until one ends; C{slo-least-load} does not."""
        policy = self.made("slo", *[profile(2.0)] * 3)
        memos = self.give(policy, 0, 0, 1, 1, 2, 2)
        self.assertIsNone(choice_of(policy, self.replicas))
        policy.ended(memos[3], NOW, well=True, usage=Usage(1, 1))
        self.assertEqual(self.chosen(policy), {"r1"})
        pushing = self.made("slo-least-load", *[profile(2.0)] * 3)
        self.give(pushing, 0, 0, 1, 1, 2, 2, 0)
        self.assertEqual(self.chosen(pushing), {"r1", "r2"} & self.chosen(pushing))

    def test_exactly_full(self) -> None:
        """All ten parts of one are room for ten."""
        policy = self.made("slo", profile(10.0))
        self.replicas = self.replicas[:1]
        for _ in range(10):
            self.assertIsNotNone(choice_of(policy, self.replicas))
            self.give(policy, 0)
        self.assertIsNone(choice_of(policy, self.replicas))

    def test_too_large_for_any(self) -> None:
        """An empty one takes it all the same: it would wait for ever."""
        policy = self.made("slo", profile(0.5))
        self.replicas = self.replicas[:1]
        self.assertIsNotNone(choice_of(policy, self.replicas))
        self.give(policy, 0)
        self.assertIsNone(choice_of(policy, self.replicas))


class ObjectiveTests(SloTestCase):
    """Who can meet it."""

    def test_who_meets_it_is_preferred(self) -> None:
        """However busy, as long as it has room; then the others."""
        policy = self.made("slo", profile(2.0, e2e=30.0), profile(2.0, e2e=5.0), slo=SloSettings(e2e=10.0))
        self.give(policy, 1)
        self.assertEqual(self.chosen(policy), {"r1"})
        self.give(policy, 1)
        self.assertEqual(self.chosen(policy), {"r0"})

    def test_which_objective(self) -> None:
        """The first that is set counts."""
        gpu = profile(1.0, e2e=10.0, ttft=3.0)
        for slo, expected in (
            (SloSettings(tpot=0.1, ttft=2.0, e2e=1.0), 10 - (0.1 * 50 + 2)),
            (SloSettings(ttft=2.0, tpat=1.0), 3.0 - 2.0),
            (SloSettings(tpat=0.05), 10 - 0.05 * 150),
            (SloSettings(e2e=12.0), -2.0),
        ):
            self.assertAlmostEqual(late(slo, gpu, (0, 0), 100, 50), expected)


class MissingTests(SloTestCase):
    """What it goes by is not there."""

    def fallback(self, policy: Slo) -> tuple[Fallback, ...]:
        """Which."""
        found: tuple[Fallback, ...] = choice_of(policy, self.replicas).fallbacks
        return found

    def test_each(self) -> None:
        """The least loaded then, and why; one that was not measured is left out where others were."""
        for policy, reason in (
            (self.made("slo", profile(1.0), slo=None), Missing.SLO),
            (self.made("slo"), Missing.PROFILE),
            (self.made("slo", profile(0.0)), Missing.BEYOND_PROFILE),
        ):
            self.assertEqual(self.fallback(policy), (Fallback("slo", reason),))
            self.replicas[1].load.in_flight = -1
            self.assertEqual(self.chosen(policy), {"r1"})
        self.assertEqual(self.chosen(self.made("slo", None, profile(1.0))), {"r1"})


class LengthTests(SloTestCase):
    """How long answers are is learned."""

    def test_long_answers_go_to_who_can_do_them(self) -> None:
        """Once they have been seen to be long."""
        tables: Any = ((1.0,), (1.0,))
        slow = GpuProfile((1.0, 1000.0), (100.0,), tables, ((1.0,), (90.0,)))
        fast = GpuProfile((1.0, 1000.0), (100.0,), tables, ((2.0,), (3.0,)))
        policy = self.made("slo-least-load", slow, fast, slo=SloSettings(e2e=10.0))
        ask = Ask(Prompt(400))
        self.assertEqual(names(policy, self.replicas, ask), {"r0", "r1"} & names(policy, self.replicas, ask))
        for _ in range(3):
            memo = policy.chosen(self.replicas[0], ask, NOW)
            policy.ended(memo, NOW, well=True, usage=Usage(100, 900))
        self.assertEqual(names(policy, self.replicas, ask), {"r1"})

    def test_an_unmeasured_replica_is_not_counted(self) -> None:
        """Nobody knows what it takes up there."""
        policy = self.made("slo")
        other: Replica = fleet(1)[0]
        policy.ended(policy.chosen(other, Ask(), NOW), NOW, well=True, usage=None)
