"""The fleet's snapshot."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.domain.fleet import Fleet
from aibrix_twisted.domain.settings import ModelSettings
from tests.domain.test_replica import a_replica


class FleetTests(SynchronousTestCase):
    """Who serves what, under which names."""

    def test_by_model_in_order(self) -> None:
        """Replicas of a model, in the order of the configuration."""
        first, second = a_replica(models=("m", "n")), a_replica(models=("m",))
        fleet = Fleet.of([first, second])
        self.assertEqual(fleet.by_model, {"m": (first, second), "n": (first,)})

    def test_resolves_names_aliases_and_the_only_model(self) -> None:
        """An alias stands for its model while that is served; no name stands for the only one."""
        fleet = Fleet.of([a_replica(models=("m",))], [ModelSettings(name="m", aliases=("gpt",))])
        self.assertEqual([fleet.resolve(name) for name in ("m", "gpt", "z", "")], ["m", "m", None, "m"])
        self.assertIsNone(Fleet.of([a_replica(models=("m", "n"))]).resolve(""))
        self.assertIsNone(Fleet().resolve(""))

    def test_a_served_name_wins_over_an_alias(self) -> None:
        """What an engine itself says is what is meant."""
        fleet = Fleet.of([a_replica(models=("m", "gpt"))], [ModelSettings(name="m", aliases=("gpt",))])
        self.assertEqual(fleet.resolve("gpt"), "gpt")

    def test_settled_and_ready(self) -> None:
        """Settled once all have answered; ready once one serves something."""
        self.assertFalse(Fleet.of([a_replica()]).settled)
        self.assertTrue(Fleet.of([a_replica(models=())]).settled)
        self.assertFalse(Fleet.of([a_replica(models=())]).ready)
        self.assertTrue(Fleet.of([a_replica(models=("m",)), a_replica()]).ready)

    def test_a_model_that_is_configured_is_known(self) -> None:
        """Nobody serves it now; that is no reason to say that there is none."""
        fleet = Fleet.of([a_replica(models=("m",))], [ModelSettings(name="x", aliases=("y",))])
        self.assertEqual([fleet.resolve(name) for name in ("x", "y", "z")], ["x", "x", None])

    def test_fallbacks(self) -> None:
        """In their order, theirs after them, each once, only those that are served; circles end."""
        models = [
            ModelSettings(name="a", fallbacks=("gone", "b-alias", "c")),
            ModelSettings(name="b", aliases=("b-alias",), fallbacks=("a", "d", "c")),
            ModelSettings(name="gone", fallbacks=("e",)),
        ]
        fleet = Fleet.of([a_replica(models=("b", "c", "d", "e"))], models)
        self.assertEqual(fleet.fallbacks("a"), ["b", "c", "e", "d"])
        self.assertEqual(fleet.resolve("a"), "b")
        self.assertEqual(fleet.fallbacks("c"), [])

    def test_splits(self) -> None:
        """Dealt out by share, to those that are served; a model may keep a part of its own name."""
        models = [
            ModelSettings(name="m", aliases=("chat",), split={"m": 3.0, "canary": 1.0, "gone": 4.0}),
            ModelSettings(name="front", split={"canary": 1.0}),
        ]
        fleet = Fleet.of([a_replica(models=("m", "canary"))], models)
        dealt = [fleet.resolve("chat", lot / 100) for lot in range(100)]
        self.assertEqual((dealt.count("m"), dealt.count("canary")), (75, 25))
        self.assertEqual(fleet.resolve("front", 0.999999), "canary")
        alone = Fleet.of([a_replica(models=("m",))], models)
        self.assertEqual({alone.resolve("m", lot / 10) for lot in range(10)}, {"m"})
        self.assertEqual(alone.resolve("front"), "front", "it is configured, and nobody serves it")
