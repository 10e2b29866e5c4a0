"""The benchmark of decisions: that it measures what it says.  What that costs is not asserted here."""

from __future__ import annotations

from math import isfinite

from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.policy import POLICIES
from benchmarks.decisions import NOW, REPLICAS, ask, fleet, policies, taught
from tests.policy.fleet import choice_of


class DecisionTests(SynchronousTestCase):
    """The scene."""

    def test_each_policy_has_what_it_goes_by(self) -> None:
        """It does not fall back, unless it goes by profiles; and it has figures of every replica to weigh."""
        replicas, asked = fleet(), ask()
        self.assertEqual((len(replicas), asked.prompt.length), (REPLICAS, 2048))
        made = policies()
        self.assertLess(set(POLICIES), set(made))
        for name, policy in made.items():
            choice = choice_of(taught(policy, replicas, asked), replicas, asked)
            self.assertEqual(choice.fallbacks == (), not name.startswith("slo"), name)
            for figures in choice.why.values():
                self.assertTrue(all(map(isfinite, figures)) or name == "least-latency", name)

    def test_readings_are_fresh(self) -> None:
        """At the time that decisions are made at."""
        self.assertTrue(all(replica.load.fresh_engine(NOW) for replica in fleet()))
