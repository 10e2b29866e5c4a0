"""C{least-latency}: by engines' times, or by ours."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.domain.replica import Replica
from aibrix_twisted.policy.ask import Ask
from aibrix_twisted.policy.choice import Fallback, Missing
from aibrix_twisted.policy.least_latency import LeastLatency, Times, expected
from tests.policy.fleet import NOW, choice_of, fleet, grow, names, say


def told(replica: Replica, queue: float, prefill: float, decode: float, prompt: float, answer: float) -> None:
    """In the last seconds ten requests took so long each."""
    grow(
        replica, queue_s=10 * queue, queue_n=10.0, prefill_s=10 * prefill, prefill_n=10.0, decode_s=10 * decode,
        decode_n=10.0, prompt_tokens=10 * prompt, generation_tokens=10 * answer, requests=10.0,
    )  # fmt: skip


class FormulaTests(SynchronousTestCase):
    """AIBrix's (alg/least_latency_test.go)."""

    def test_equal_lengths(self) -> None:
        """Each engine's times are made those of a request of the usual length."""
        times = [Times(5.0, 10.0, 100.0, 10.0, 10.0), Times(10.0, 20.0, 200.0, 30.0, 30.0)]
        self.assertEqual(expected(times), [5 + 20 + 200, 10 + 20 / 30 * 20 + 200 / 30 * 20])

    def test_unknown_lengths(self) -> None:
        """Ten tokens and a hundred, where nobody says."""
        self.assertEqual(expected([Times(1.0, 2.0, 3.0, 0.0, 0.0)]), [6.0])
        self.assertEqual(expected([Times(0, 2.0, 3.0, 0.0, 0.0), Times(0, 4.0, 6.0, 20.0, 200.0)]), [5.0, 10.0])


class EngineTests(SynchronousTestCase):
    """Where all engines say."""

    def test_aibrix(self) -> None:
        """The one that is faster in all, and two that are alike."""
        replicas = fleet(4)
        for replica, row in zip(
            replicas,
            ((5, 10, 100, 10, 10), (10, 20, 200, 10, 10), (15, 30, 300, 10, 10), (20, 40, 400, 10, 10)),
            strict=True,
        ):
            told(replica, *row)
        self.assertEqual(names(LeastLatency(), replicas), {"r0"})
        for place, row in enumerate(((30, 300, 30, 30, 30), (50, 500, 50, 30, 30), (30, 300, 30, 30, 30))):
            replicas[place] = fleet(3)[place]
            told(replicas[place], *row)
        self.assertEqual(names(LeastLatency(), replicas[:3]), {"r0", "r2"})

    def test_an_idle_engine(self) -> None:
        """Nothing ended there lately: what it took before counts; nothing ever did: it is tried."""
        replicas = fleet(2)
        told(replicas[0], 1.0, 1.0, 1.0, 10.0, 10.0)
        times = {"queue_s": 90.0, "queue_n": 10.0, "prefill_s": 10.0, "prefill_n": 10.0, "decode_s": 9.0}
        for second in (50.0, 0.0):
            say(replicas[1], NOW - second, decode_n=10.0, **times)
        self.assertEqual(names(LeastLatency(), replicas), {"r0"})
        replicas[1] = fleet(2)[1]
        say(replicas[1], decode_n=0.0, **dict.fromkeys(times, 0.0))
        self.assertEqual(names(LeastLatency(), replicas), {"r1"})


class LoadTests(SynchronousTestCase):
    """What is under way has no latency yet."""

    def test_it_counts(self) -> None:
        """The fastest is not given everything until its first answer is over."""
        replicas = fleet(2)
        for replica, seconds in zip(replicas, (1.0, 2.5), strict=True):
            told(replica, seconds, seconds, seconds, 10.0, 10.0)
        for turn in range(14):
            choice_of(LeastLatency(), replicas, seed=turn).replica.load.lease("m")
        self.assertEqual([replica.load.in_flight for replica in replicas], [10, 4])


class OwnTests(SynchronousTestCase):
    """Where some engine does not say."""

    def test_what_we_saw(self) -> None:
        """The faster one by our own clock; what failed says nothing; whoever was never tried is as good as the best."""
        policy, replicas = LeastLatency(), fleet(3)
        told(replicas[0], 9.0, 9.0, 9.0, 10.0, 10.0)
        for _ in range(3):
            for replica, seconds in zip(replicas[:2], (1.0, 2.0), strict=True):
                policy.ended(policy.chosen(replica, Ask(), NOW), NOW + seconds, well=True, usage=None)
            policy.ended(policy.chosen(replicas[1], Ask(), NOW), NOW + 0.01, well=False, usage=None)
        self.assertEqual(names(policy, replicas), {"r0", "r2"})
        self.assertEqual(names(policy, replicas[:2]), {"r0"})

    def test_nothing_seen(self) -> None:
        """Then the least loaded."""
        choice = choice_of(LeastLatency(), fleet(2, 1, 0))
        self.assertEqual((choice.replica.name, choice.fallbacks), ("r1", (Fallback("least-latency", Missing.METRICS),)))
