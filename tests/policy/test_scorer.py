"""Policies that go by what engines say of themselves, with AIBrix's cases (alg/least_*_test.go, throughput_test.go)."""

from __future__ import annotations

from math import inf, isnan, nan

from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.domain.replica import Replica
from aibrix_twisted.policy.ask import Ask
from aibrix_twisted.policy.choice import Fallback, Missing
from aibrix_twisted.policy.least_busy_time import LeastBusyTime
from aibrix_twisted.policy.least_gpu_cache import LeastGpuCache
from aibrix_twisted.policy.least_kv_cache import LeastKvCache
from aibrix_twisted.policy.least_utilization import LeastUtilization
from aibrix_twisted.policy.scorer import Scorer
from aibrix_twisted.policy.throughput import Throughput, processed
from tests.policy.fleet import NOW, choice_of, fleet, grow, names, say


class Said(Scorer):
    """Goes by what the test says."""

    name = "least-kv-cache"

    def __init__(self, *said: float, most: bool = False) -> None:
        self.said = said
        self.most = most  # type: ignore[misc]

    def scores(self, candidates: object, ask: Ask, now: float) -> tuple[float, ...]:
        return self.said


class PickTests(SynchronousTestCase):
    """Figures, and who is picked by them."""

    def test_best(self) -> None:
        """The least, or the most; of equals any; who has no figure only where none has one."""
        for said, most, chosen in (
            ((3.0, 1.0, 2.0), False, {"r1"}),
            ((3.0, 1.0, 2.0), True, {"r0"}),
            ((1.0, 1.0, 2.0), False, {"r0", "r1"}),
            ((nan, 5.0, nan), False, {"r1"}),
            ((nan, 5.0, inf), True, {"r1"}),
            ((-inf, 5.0, 6.0), False, {"r1"}),
            ((nan, nan, nan), False, {"r0", "r1", "r2"}),
        ):
            self.assertEqual(names(Said(*said, most=most), fleet(3)), chosen, said)

    def test_nothing_known(self) -> None:
        """The least loaded, and that is told."""
        choice = choice_of(Said(nan, nan), fleet(2, 4, 3))
        self.assertEqual(choice.replica.name, "r1")
        self.assertEqual(choice.fallbacks, (Fallback("least-kv-cache", Missing.METRICS),))
        self.assertEqual(choice_of(Said(nan, 1.0), fleet(2)).fallbacks, ())


class EngineTests(SynchronousTestCase):
    """Each figure."""

    def scores(self, scorer: Scorer, replicas: list[Replica]) -> list[float | None]:
        """Of each; C{None} for who has none."""
        return [None if isnan(score) else score for score in scorer.scores(replicas, Ask(), NOW)]

    def test_gpu_cache(self) -> None:
        """A clear least; two equal ones; one without; none at all."""
        for said, chosen in (
            ((0.5, 0.2, 0.9), {"r1"}),
            ((0.5, 0.2, 0.2), {"r1", "r2"}),
            ((0.9, None, None), {"r0"}),
            ((None, None, None), {"r0", "r1", "r2"}),
        ):
            replicas = fleet(3)
            for replica, usage in zip(replicas, said, strict=True):
                if usage is not None:
                    say(replica, kv_usage=usage)
            self.assertEqual(names(LeastGpuCache(), replicas), chosen, said)

    def test_kv_cache(self) -> None:
        """Both parts of it; an engine without a second part has none in use there."""
        replicas = fleet(3)
        say(replicas[0], kv_usage=0.2, cpu_cache_usage=0.3)
        say(replicas[1], kv_usage=0.1, cpu_cache_usage=0.5)
        self.assertEqual(names(LeastKvCache(), replicas), {"r0"})
        say(replicas[2], kv_usage=0.4)
        self.assertEqual(names(LeastKvCache(), replicas), {"r2"})

    def test_utilization(self) -> None:
        """The cache's; where requests wait, all of it and more."""
        replicas = fleet(4)
        say(replicas[0], kv_usage=0.9, waiting=0.0)
        say(replicas[1], kv_usage=0.1, waiting=2.0)
        say(replicas[2], waiting=1.0)
        self.assertEqual(self.scores(LeastUtilization(), replicas), [0.9, 3.0, 2.0, None])
        self.assertEqual(names(LeastUtilization(), replicas), {"r0"})

    def test_busy_time(self) -> None:
        """How much of the time it computed."""
        replicas = fleet(3)
        for second in range(21):
            say(replicas[0], NOW - 20 + second, running=1.0)
            say(replicas[1], NOW - 20 + second, running=float(second > 10))
        self.assertEqual(self.scores(LeastBusyTime(), replicas), [1.0, 0.5, None])
        self.assertEqual(names(LeastBusyTime(), replicas), {"r1"})

    def test_throughput(self) -> None:
        """Prompts count twice: AIBrix's cases."""
        for figures, chosen in ((((1, 2), (2, 1), (3, 3), (4, 4)), {"r0"}), (((1, 4), (2, 2)), {"r0", "r1"})):
            replicas = fleet(len(figures))
            for replica, (prompt, generation) in zip(replicas, figures, strict=True):
                grow(replica, prompt_tokens=10.0 * prompt, generation_tokens=10.0 * generation)
            self.assertEqual(names(Throughput(), replicas), chosen)
        self.assertEqual([processed(*pair) for pair in ((1, 2), (2, 1), (3, 3), (4, 4))], [4, 5, 9, 12])

    def test_what_is_too_old_is_not_known(self) -> None:
        """An engine that has fallen silent has no figure, whichever it was."""
        for scorer in (LeastGpuCache(), LeastKvCache(), LeastUtilization(), LeastBusyTime(), Throughput()):
            replicas = fleet(2)
            for replica in replicas:
                for second in (20.0, 10.0):
                    figures = {"prompt_tokens": 1.0, "generation_tokens": 1.0}
                    say(replica, NOW - second, kv_usage=0.5, waiting=1.0, running=1.0, **figures)
            self.assertEqual(self.scores(scorer, replicas), [None, None], scorer.name)
