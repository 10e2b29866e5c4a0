"""The policies: fair, and counting before they send."""

from __future__ import annotations

import random
from collections import Counter

from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from aibrix_twisted.domain.replica import Replica
from aibrix_twisted.interfaces import IPolicy
from aibrix_twisted.policy import POLICIES


def fleet(count: int) -> list[Replica]:
    """So many replicas."""
    return [Replica(name=f"r{n}", url="", host="", port=n, authority=b"") for n in range(count)]


class PolicyTests(SynchronousTestCase):
    """What holds for all, and what each promises."""

    def test_each_is_a_policy_that_chooses_a_candidate(self) -> None:
        """Of one or of many, at any load."""
        for make in POLICIES.values():
            policy = make()
            verifyObject(IPolicy, policy)
            for count in (1, 2, 5):
                replicas = fleet(count)
                for _ in range(20):
                    self.assertIn(policy.choose(replicas, random.Random(1)), replicas)

    def test_random_is_even(self) -> None:
        """Over 9 000 draws of three, each within a tenth of its third."""
        policy, replicas, rng = POLICIES["random"](), fleet(3), random.Random(4)
        counts = Counter(policy.choose(replicas, rng).name for _ in range(9000))
        for name in ("r0", "r1", "r2"):
            self.assertLess(abs(counts[name] - 3000), 300)

    def test_round_robin_takes_turns(self) -> None:
        """Each once a round; one left out for a while is next; newcomers come first."""
        policy, replicas, rng = POLICIES["round-robin"](), fleet(3), random.Random(0)
        names = [policy.choose(replicas, rng).name for _ in range(6)]
        self.assertEqual(names, ["r0", "r1", "r2", "r0", "r1", "r2"])
        self.assertEqual([policy.choose(replicas[1:], rng).name for _ in range(2)], ["r1", "r2"])
        self.assertEqual(policy.choose(replicas, rng).name, "r0")

    def test_least_request_spreads_a_burst(self) -> None:
        """A lease counts before anything is sent, so thirty at once go ten each to three."""
        policy, replicas, rng = POLICIES["least-request"](), fleet(3), random.Random(0)
        for _ in range(30):
            policy.choose(replicas, rng).load.lease("m")
        self.assertEqual([replica.load.in_flight for replica in replicas], [10, 10, 10])

    def test_least_request_breaks_ties_by_lot(self) -> None:
        """An idle fleet is not always entered by the same door; the busy one is left alone."""
        policy, replicas, rng = POLICIES["least-request"](), fleet(3), random.Random(2)
        replicas[1].load.lease("m")
        counts = Counter(policy.choose(replicas, rng).name for _ in range(2000))
        self.assertEqual(counts["r1"], 0)
        self.assertLess(abs(counts["r0"] - 1000), 150)

    def test_weights(self) -> None:
        """Each policy gives a replica of three times the weight three times as much, at rest and under load."""
        for name in POLICIES:
            policy, replicas, rng = POLICIES[name](), fleet(2), random.Random(5)
            replicas[1].weight = 3.0
            at_rest = Counter(policy.choose(replicas, rng).name for _ in range(4000))
            self.assertLess(abs(at_rest["r1"] - 3000), 150, name)
            for _ in range(40):
                policy.choose(replicas, rng).load.lease("m")
            if name == "least-request":
                self.assertEqual([replica.load.in_flight for replica in replicas], [10, 30])

    def test_round_robin_does_not_make_up_for_an_absence(self) -> None:
        """Whoever was away for long is next, once."""
        policy, replicas, rng = POLICIES["round-robin"](), fleet(3), random.Random(0)
        for _ in range(100):
            policy.choose(replicas[1:], rng)
        counts = Counter(policy.choose(replicas, rng).name for _ in range(30))
        self.assertLessEqual(max(counts.values()) - min(counts.values()), 2)
