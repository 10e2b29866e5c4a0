"""C{consistent-hash}: one key, one replica, within the bound."""

from __future__ import annotations

from collections import Counter
from math import ceil

from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.domain.prompt import prompt_of
from aibrix_twisted.policy.ask import Ask
from aibrix_twisted.policy.choice import Fallback, Missing
from aibrix_twisted.policy.consistent_hash import BOUND, ConsistentHash, key_of
from tests.policy.fleet import choice_of, fleet, names

POLICY = ConsistentHash()


class KeyTests(SynchronousTestCase):
    """What a request is placed by."""

    def test_order(self) -> None:
        """Its session's key, its session, its user, the beginning of its prompt."""
        prompt = prompt_of(b"x" * 4096, 128)
        self.assertEqual(key_of(Ask(prompt, session_key=b"key", session="r1", user="u")), b"key")
        self.assertEqual(key_of(Ask(prompt, session="r1", user="u")), b"r1")
        self.assertEqual(key_of(Ask(prompt, user="u")), b"u")
        self.assertEqual(key_of(Ask(prompt)), prompt.hashes[7].to_bytes(8, "little"))
        self.assertEqual(key_of(Ask()), b"")

    def test_beginnings(self) -> None:
        """Prompts that begin alike for a kilobyte are one key, however they go on; a short one is its own."""
        start = b"x" * 1024
        self.assertEqual(key_of(Ask(prompt_of(start + b"a" * 500, 128))), key_of(Ask(prompt_of(start + b"b" * 9, 128))))
        self.assertNotEqual(key_of(Ask(prompt_of(b"x" * 128, 128))), key_of(Ask(prompt_of(start, 128))))
        self.assertNotEqual(key_of(Ask(prompt_of(b"x" * 9999, 4096))), b"")


class BoundTests(SynchronousTestCase):
    """The owner, unless it has too much."""

    def test_the_owner_keeps_it(self) -> None:
        """As long as it is not above its share of the load by more than a quarter."""
        (owner,) = names(POLICY, fleet(4), Ask(user="u"))
        replicas = fleet(4, 8, 8, 8, 8)
        self.assertEqual(names(POLICY, replicas, Ask(user="u")), {owner})
        replicas[int(owner[1])].load.in_flight = 30
        (second,) = names(POLICY, replicas, Ask(user="u"))
        self.assertNotEqual(second, owner)
        without = [replica for replica in replicas if replica.name != owner]
        self.assertEqual(names(POLICY, without, Ask(user="u")), {second}, "it goes where it would without its owner")

    def test_nobody_has_more_than_the_bound(self) -> None:
        """Though all have one key."""
        replicas = fleet(5)
        replicas[3].weight = 2.0
        for turn in range(600):
            choice_of(POLICY, replicas, Ask(user="u"), turn).replica.load.lease("m")
            total = sum(replica.load.in_flight for replica in replicas)
            for replica in replicas:
                self.assertLessEqual(replica.load.in_flight, ceil(BOUND * total * replica.weight / 6.0))

    def test_keys_are_spread(self) -> None:
        """Over everyone."""
        counts = Counter(next(iter(names(POLICY, fleet(4), Ask(user=f"u{n}"), 1))) for n in range(2000))
        self.assertLess(max(counts.values()) - min(counts.values()), 200)

    def test_no_key(self) -> None:
        """Then the least loaded, and that is told."""
        choice = choice_of(POLICY, fleet(3, 2, 1, 2))
        self.assertEqual((choice.replica.name, choice.fallbacks), ("r1", (Fallback("consistent-hash", Missing.KEY),)))
