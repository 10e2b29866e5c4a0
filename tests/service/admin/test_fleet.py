"""What people are told of the fleet, and what becomes of what they ask."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.domain.engine_load import EngineLoad
from aibrix_twisted.domain.health import ProbeResult
from aibrix_twisted.domain.replica import Replica
from aibrix_twisted.domain.settings import BreakerSettings, ModelSettings, ReplicaSettings, Settings
from aibrix_twisted.service.admin.documents import Denied
from tests.service.admin.listener import STATIC, AdminState

NEW = {"url": "http://192.0.2.9:8000", "name": "new", "models": ["n"]}


class DeskTestCase(SynchronousTestCase):
    """A desk above a real keeper and registry; time stands still until the test says otherwise."""

    settings = Settings(replica=STATIC)

    def setUp(self) -> None:
        self.state = AdminState(self.settings)
        self.desk, self.reactor = self.state.desk, self.state.reactor
        self.state.discovery.registry.start()
        self.addCleanup(self.state.discovery.registry.stop)

    def facts(self, name: str) -> dict[str, Any]:
        """Of one replica that is there once."""
        (found,) = [one for one in self.desk.replicas()["replicas"] if one["name"] == name]
        return dict(found)

    def replica(self, name: str) -> Replica:
        """The one of this name."""
        found = self.state.keeper.replica(name)
        assert found is not None
        return found

    def denied(self, status: int, code: str, act: Any, *arguments: Any, **more: Any) -> None:
        """It is refused, and nothing has changed."""
        before = self.desk.replicas()
        error = self.assertRaises(Denied, act, *arguments, **more)
        self.assertEqual((error.status, error.code), (status, code))
        self.assertEqual(self.desk.replicas(), before)


class ToldTests(DeskTestCase):
    """What is known."""

    def test_every_fact(self) -> None:
        """Of a replica that has all of them, and of one of which nothing is known."""
        self.reactor.advance(5.0)
        said = {"url": "http://192.0.2.9:1", "name": "r", "models": ["n"], "engine": "vllm", "weight": 2.5,
                "max_in_flight": 7, "labels": {"rack": "r1"}}  # fmt: skip
        self.desk.put("r", said, 60.0)
        replica = self.replica("r")
        lease = replica.load.lease("n")
        replica.load.lease("n").release()
        replica.load.read(EngineLoad(at=6.0, running=3.0, waiting=1.0, kv_usage=0.5), 3.0)
        replica.last_error = "a probe was not answered in time"
        self.reactor.advance(2.5)
        self.assertEqual(
            self.facts("r"),
            {
                "name": "r", "url": "http://192.0.2.9:1", "tls": None, "engine": "vllm", "models": ("n",), "state": "up",
                "reason": "",
                "since_s": 2.5, "breaker": "closed", "source": "registered", "expires_in_s": 57.5, "weight": 2.5,
                "max_in_flight": 7, "labels": {"rack": "r1"}, "in_flight": 1, "leased": 2,
                "load": {"running": 3.0, "waiting": 1.0, "kv_usage": 0.5, "age_s": 1.5}, "load_problem": None,
                "last_error": "a probe was not answered in time",
            },
        )  # fmt: skip
        lease.release()
        unknown = self.facts("gpu1")
        self.assertEqual((unknown["state"], unknown["since_s"]), ("unknown", 7.5))
        for name in ("engine", "models", "expires_in_s", "load", "load_problem", "last_error"):
            self.assertIsNone(unknown[name], name)

    def test_states(self) -> None:
        """Each with its reason, its breaker, and since when."""
        replica = self.replica("gpu0")
        rng: Any = self.state.keeper._prober._rng
        self.assertEqual(self.facts("gpu0")["state"], "up")
        self.reactor.advance(10.0)
        replica.health.probed_with(ProbeResult.REFUSED, "nothing listens", self.reactor.seconds(), in_flight=0)
        self.reactor.advance(2.0)
        down = self.facts("gpu0")
        self.assertEqual((down["state"], down["reason"], down["since_s"]), ("down", "nothing listens", 2.0))
        replica.health.probed_with(ProbeResult.PASSED, "", self.reactor.seconds(), in_flight=0)
        for _ in range(BreakerSettings().failures):
            replica.health.failed("it broke", self.reactor.seconds(), rng, broke=True)
        ejected = self.facts("gpu0")
        self.assertEqual((ejected["state"], ejected["reason"], ejected["breaker"]), ("ejected", "it broke", "open"))
        self.desk.drain("gpu0", on=True)
        drained = self.facts("gpu0")
        self.assertEqual((drained["state"], drained["breaker"]), ("draining", "open"))

    def test_what_leaves(self) -> None:
        """It is listed until the last that is under way there is over."""
        self.desk.add(NEW)
        lease = self.replica("new").load.lease("n")
        self.assertEqual(self.desk.remove("new")["state"], "leaving")
        left = self.facts("new")
        self.assertEqual((left["state"], left["in_flight"], left["expires_in_s"]), ("leaving", 1, None))
        self.denied(404, "replica_not_found", self.desk.drain, "new", on=True)
        lease.release()
        self.assertEqual([one["name"] for one in self.desk.replicas()["replicas"]], ["gpu0", "gpu1"])

    def test_problems(self) -> None:
        """Those of the sources, and names that two of them have."""
        self.assertEqual(self.desk.replicas()["problems"], [])
        self.desk.add(NEW)
        again = ReplicaSettings(name="new", url="http://192.0.2.5:1")
        self.state.keeper.says("file /x.toml", (again,))
        self.assertEqual(self.desk.replicas()["problems"], ["file /x.toml: the replica 'new' is one of admin already"])

    def test_a_registration_beside_the_configuration(self) -> None:
        """Whose name was taken by the configuration meanwhile: what is shown is the configuration's, which never ends."""
        self.desk.put("new", NEW, 30.0)
        static = ReplicaSettings(name="new", url="http://192.0.2.5:1", models=("n",))
        self.state.discovery.configure(Settings(replica=(*STATIC, static)))
        facts = self.facts("new")
        self.assertEqual((facts["source"], facts["url"], facts["expires_in_s"]), ("static", "http://192.0.2.5:1", None))
        self.denied(409, "replica_exists", self.desk.put, "new", None, 30.0)
        self.assertEqual(len(self.desk.replicas()["problems"]), 1)
        self.reactor.pump([0.5] * 61)
        self.assertEqual((self.facts("new")["source"], self.desk.replicas()["problems"]), ("static", []))

    def test_models(self) -> None:
        """Served ones with who serves them, and configured ones that nobody does."""
        wanted = (
            ModelSettings(name="m", aliases=("gpt", "gpt-2"), policy="random", fallbacks=("n",)),
            ModelSettings(name="cold", split={"m": 0.9, "n": 0.1}),
        )
        self.state.discovery.configure(Settings(replica=STATIC, model=wanted))
        self.desk.add(NEW)
        self.desk.add({**NEW, "name": "new2"})
        self.desk.drain("new2", on=True)
        self.assertEqual(
            self.desk.models(),
            {
                "models": [
                    {"name": "m", "aliases": ["gpt", "gpt-2"], "fallbacks": ["n"], "split": {}, "policy": "random",
                     "replicas": ["gpu0"], "up": 1},
                    {"name": "n", "aliases": [], "fallbacks": [], "split": {}, "policy": "", "replicas": ["new", "new2"],
                     "up": 1},
                    {"name": "cold", "aliases": [], "fallbacks": [], "split": {"m": 0.9, "n": 0.1}, "policy": "",
                     "replicas": [], "up": 0},
                ]
            },
        )  # fmt: skip


class DoneTests(DeskTestCase):
    """What is changed."""

    def test_each_change_is_published(self) -> None:
        """Who waits is told at once, not at the next probe."""
        self.assertNotIn("n", self.state.fleet.by_model)
        self.desk.add(NEW)
        self.assertIn("n", self.state.fleet.by_model)
        for act, up in ((self.desk.drain, False), (self.desk.eject, True)):
            fleet = self.state.fleet
            act("new", on=True)
            self.assertIsNot(self.state.fleet, fleet)
            self.assertEqual(self.state.fleet.replicas[-1].up, up)
            fleet = self.state.fleet
            act("new", on=False)
            self.assertIsNot(self.state.fleet, fleet)
        self.desk.remove("new")
        self.assertNotIn("n", self.state.fleet.by_model)

    def test_renewing_changes_nothing(self) -> None:
        """Neither the replica nor what is known of it; no snapshot is made for it."""
        self.desk.put("new", NEW, 30.0)
        replica, fleet = self.replica("new"), self.state.fleet
        self.desk.drain("new", on=True)
        fleet = self.state.fleet
        for _ in range(5):
            self.reactor.pump([0.5] * 40)
            facts, new = self.desk.put("new", None, 30.0)
            self.assertEqual((facts["state"], facts["expires_in_s"], new), ("draining", 30.0, False))
        self.assertIs(self.replica("new"), replica)
        self.assertIs(self.state.fleet, fleet)

    def test_from_one_source_to_the_other_and_back(self) -> None:
        """What is known of the replica, and what is under way there, stays; it is never out of the fleet."""
        self.desk.put("new", {"url": NEW["url"]}, 30.0)
        replica = self.replica("new")
        replica.models = ("n",)
        lease = replica.load.lease("n")
        self.desk.drain("new", on=True)
        seen: list[bool] = []
        self.state.fleet_is = lambda fleet, catalogue: seen.append("n" in fleet.by_model)  # type: ignore[method-assign]
        self.state.keeper._publish = self.state.fleet_is
        for ttl_s, source in ((None, "admin"), (30.0, "registered"), (None, "admin"), (5.0, "registered")):
            facts, new = self.desk.put("new", None, ttl_s)
            self.assertEqual(
                (facts["source"], facts["state"], facts["models"], new), (source, "draining", ("n",), False)
            )
            self.assertEqual((facts["in_flight"], facts["expires_in_s"]), (1, ttl_s))
        self.assertTrue(seen and all(seen), seen)
        lease.release()
        self.assertEqual(self.facts("new")["in_flight"], 0)
        self.assertEqual(self.desk.replicas()["problems"], [])

    def test_another_url(self) -> None:
        """Is another replica; what is under way at the old one is finished there."""
        self.desk.put("new", NEW, None)
        lease = self.replica("new").load.lease("n")
        facts, new = self.desk.put("new", {**NEW, "url": "http://192.0.2.10:1"}, None)
        self.assertEqual((facts["url"], facts["in_flight"], new), ("http://192.0.2.10:1", 0, False))
        states = [(one["url"], one["state"]) for one in self.desk.replicas()["replicas"] if one["name"] == "new"]
        self.assertEqual(states, [("http://192.0.2.10:1", "up"), (NEW["url"], "leaving")])
        lease.release()
        self.assertEqual(self.facts("new")["url"], "http://192.0.2.10:1")

    def test_expiry(self) -> None:
        """It is gone, and may come again; what somebody said of it by hand is gone with it."""
        self.desk.put("new", NEW, 2.0)
        self.desk.drain("new", on=True)
        self.reactor.pump([0.5] * 4)
        self.assertIsNone(self.state.keeper.replica("new"))
        self.denied(404, "replica_not_found", self.desk.put, "new", None, 2.0)
        facts, new = self.desk.put("new", NEW, 2.0)
        self.assertEqual((facts["state"], new), ("up", True))

    def test_the_configuration_can_be_drained(self) -> None:
        """Whoever names a replica, it may be drained and ejected; a reload leaves it so."""
        self.desk.drain("gpu0", on=True)
        self.state.discovery.configure(Settings(replica=STATIC))
        self.assertEqual(self.facts("gpu0")["state"], "draining")

    def test_a_time_that_is_none(self) -> None:
        """Is refused before anything is looked for."""
        for ttl_s in (0.0, -1.0, float("nan"), float("inf"), 86401.0):
            self.denied(400, "invalid_ttl", self.desk.put, "gpu0", NEW, ttl_s)

    def test_keys_are_not_read_for_whoever_asks(self) -> None:
        """A key file is named in the configuration, or nowhere: else its first line would go wherever a caller says."""
        self.denied(400, "invalid_replica", self.desk.add, {**NEW, "api_key_file": __file__})

    def test_what_the_configuration_names_by_now(self) -> None:
        """What was added here, and stands in the configuration since, is forgotten here; there it stays."""
        self.desk.add(NEW)
        self.state.keeper.configure(Settings(replica=(*STATIC, ReplicaSettings(name="new", url=NEW["url"]))))
        self.assertEqual((self.facts("new")["source"], len(self.desk.replicas()["problems"])), ("static", 1))
        self.assertEqual(self.desk.remove("new")["source"], "static")
        self.assertEqual(self.desk.replicas()["problems"], [])
        self.denied(409, "replica_not_ours", self.desk.remove, "new")

    def test_changed_while_in_use(self) -> None:
        """It is the same replica, and leaves nobody behind."""
        self.desk.add(NEW)
        lease = self.replica("new").load.lease("n")
        self.desk.put("new", {**NEW, "weight": 2.0}, None)
        self.assertEqual((self.facts("new")["in_flight"], self.facts("new")["weight"]), (1, 2.0))
        lease.release()
