"""The fleet's snapshot."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.domain.fleet import Fleet
from tests.domain.test_replica import a_replica


class FleetTests(SynchronousTestCase):
    """Who serves what, under which names."""

    def test_by_model_in_order(self) -> None:
        """Replicas of a model, in the order of the configuration."""
        first, second = a_replica(models=("m", "n")), a_replica(models=("m",))
        fleet = Fleet.of([first, second], {})
        self.assertEqual(fleet.by_model, {"m": (first, second), "n": (first,)})

    def test_resolves_names_aliases_and_the_only_model(self) -> None:
        """An alias stands for its model while that is served; no name stands for the only one."""
        fleet = Fleet.of([a_replica(models=("m",))], {"gpt": "m", "gone": "x"})
        self.assertEqual([fleet.resolve(name) for name in ("m", "gpt", "gone", "z", "")], ["m", "m", None, None, "m"])
        self.assertIsNone(Fleet.of([a_replica(models=("m", "n"))], {}).resolve(""))
        self.assertIsNone(Fleet().resolve(""))

    def test_a_served_name_wins_over_an_alias(self) -> None:
        """What an engine itself says is what is meant."""
        fleet = Fleet.of([a_replica(models=("m", "gpt"))], {"gpt": "m"})
        self.assertEqual(fleet.resolve("gpt"), "gpt")

    def test_settled_and_ready(self) -> None:
        """Settled once all have answered; ready once one serves something."""
        self.assertFalse(Fleet.of([a_replica()], {}).settled)
        self.assertTrue(Fleet.of([a_replica(models=())], {}).settled)
        self.assertFalse(Fleet.of([a_replica(models=())], {}).ready)
        self.assertTrue(Fleet.of([a_replica(models=("m",)), a_replica()], {}).ready)
