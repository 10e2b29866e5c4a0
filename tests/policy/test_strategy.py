"""What C{routing-strategy} says, with AIBrix's cases (alg/router_test.go)."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.policy import BLENDED, POLICIES
from aibrix_twisted.policy.names import ALIASES
from aibrix_twisted.policy.strategy import BadStrategy, strategy_of


class ParseTests(SynchronousTestCase):
    """Right and wrong ones."""

    def test_right(self) -> None:
        """One; several; with weights; with one that decides alone; what is left out by its weight."""
        for text, said, parts in (
            ("random", "random", [("random", 1)]),
            (" least-request ", "least-request", [("least-request", 1)]),
            ("least-request:7", "least-request", [("least-request", 1)]),
            ("least-request:2,throughput", "least-request:2,throughput", [("least-request", 2), ("throughput", 1)]),
            ("least-request:1, throughput:1", "least-request,throughput", [("least-request", 1), ("throughput", 1)]),
            ("least-request:0,throughput:3", "throughput", [("throughput", 1)]),
            ("least-request:2,slo:1,throughput:3", "slo", [("slo", 1)]),
            ("slo-pack-load,slo", "slo-pack-load", [("slo-pack-load", 1)]),
            ("random:0,least-latency:1000000", "least-latency", [("least-latency", 1)]),
            ("auto", "least-work", [("least-work", 1)]),
            ("roundrobin", "round-robin", [("round-robin", 1)]),
        ):
            strategy = strategy_of(text)
            self.assertEqual((strategy.said, list(strategy.parts)), (said, parts), text)

    def test_wrong(self) -> None:
        """Each is named."""
        for text, fault in (
            ("", "expected one of"),
            ("best", "expected one of"),
            ("Random", "expected one of"),
            ("least-request,", "expected one of"),
            ("least-request,,throughput", "expected one of"),
            ("least-request:1:2", "least-request: weight '1:2'"),
            ("least-request:1.5", "weight '1.5'"),
            ("least-request:-1", "weight '-1'"),
            ("least-request:+1", "weight '+1'"),
            ("least-request:", "weight ''"),
            ("least-request:1000001", "weight '1000001'"),
            ("least-request:x", "weight 'x'"),
            ("least-request:0", "a weight above 0"),
            ("least-request:0,throughput:0", "a weight above 0"),
            ("random,least-request", "random gives no scores"),
            ("least-request,power-of-two:3", "power-of-two gives no scores"),
            ("least-request,best", "'best': expected one of"),
            ("pd", "expected one of"),
            ("a" * 2000, "1024 characters"),
        ):
            error = self.assertRaises(BadStrategy, strategy_of, text)
            self.assertIn(fault, str(error), text)
            self.assertTrue(str(error).startswith("incorrect routing strategy "), text)
            self.assertLess(len(str(error)), 3000)

    @given(st.text(alphabet="least-rqu:,019 ranodm", max_size=40))
    def test_nothing_else_is_raised(self, text: str) -> None:
        """Whatever it is."""
        try:
            self.assertTrue(strategy_of(text).parts)
        except BadStrategy:
            pass

    def test_what_is_said_means_the_same(self) -> None:
        """As an answer's header says it, it can be asked for."""
        for text in ("least-request:2,throughput:0,prefix-cache", "auto", "session-affinity:9,least-request"):
            strategy = strategy_of(text)
            self.assertEqual(strategy_of(strategy.said), strategy)

    def test_sticky(self) -> None:
        """Where sessions are kept together, clients are told."""
        self.assertTrue(strategy_of("session-affinity:2,least-request").sticky)
        self.assertTrue(strategy_of("session").sticky)
        self.assertFalse(strategy_of("least-request").sticky)


class NameTests(SynchronousTestCase):
    """Other gateways' names."""

    def test_they_are_other_names(self) -> None:
        """Each leads to a policy that there is, and hides none."""
        self.assertEqual({name for name in ALIASES.values() if name not in POLICIES}, set())
        self.assertEqual(set(ALIASES) & set(POLICIES), set())
        self.assertLess(BLENDED, set(POLICIES))

    def test_the_contract(self) -> None:
        """The names that clients and files may count on."""
        for name in (
            "random", "round-robin", "least-request", "least-latency", "least-kv-cache", "least-gpu-cache",
            "least-busy-time", "least-utilization", "throughput", "power-of-two", "prefix-cache",
            "prefix-cache-preble", "session-affinity", "consistent-hash", "vtc-basic", "slo", "slo-least-load",
            "slo-pack-load", "load-aware", "cache-aware", "least-work", "auto", "roundrobin", "cache_aware",
            "prefixaware", "slo-least-load-pulling",
        ):  # fmt: skip
            strategy_of(name)
