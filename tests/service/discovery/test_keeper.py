"""The fleet as it is kept: snapshots when something changes, memory over a reload."""

from __future__ import annotations

import random
from typing import Any

import orjson
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.domain.fleet import Fleet
from aibrix_twisted.domain.health import ProbeResult
from aibrix_twisted.domain.replica import Replica
from aibrix_twisted.domain.settings import ModelSettings, ReplicaSettings, Settings
from aibrix_twisted.service.discovery.catalogue import Catalogue
from aibrix_twisted.service.discovery.keeper import FleetKeeper
from aibrix_twisted.service.health.probe import Verdict

A = ReplicaSettings(name="a", url="http://192.0.2.1:1")
B = ReplicaSettings(name="b", url="http://192.0.2.2:1", models=("fixed",), engine="openai")


def entry(name: str, owner: str = "vllm") -> dict[str, object]:
    """A model, as an engine lists it."""
    return {"id": name, "object": "model", "owned_by": owner, "max_model_len": 5}


class FleetKeeperTests(SynchronousTestCase):
    """Without asking anybody: answers are given by hand."""

    def setUp(self) -> None:
        self.published: list[tuple[Fleet, Catalogue]] = []
        self.clock = Clock()
        fetcher: Any = None  # nobody is asked: the prober is not started
        self.keeper = FleetKeeper(
            self.clock, lambda fleet, catalogue: self.published.append((fleet, catalogue)), fetcher, random.Random(1)
        )

    def answered(self, replica: Replica, entries: list[dict[str, object]]) -> None:
        """A probe passed."""
        self.keeper._probed(replica, Verdict(ProbeResult.PASSED, entries=entries), self.clock.seconds())

    @property
    def fleet(self) -> Fleet:
        """The newest."""
        return self.published[-1][0]

    def test_answers_make_snapshots(self) -> None:
        """One for each that changes something, none for one that does not."""
        self.keeper.configure(Settings(replica=(A, B)))
        a, b = self.fleet.replicas
        self.assertEqual((a.models, b.models, self.fleet.settled), (None, ("fixed",), False))
        self.answered(a, [entry("m"), entry("m"), entry("n")])
        self.assertEqual((a.models, a.engine), (("m", "n"), "vllm"))
        self.assertEqual(sorted(self.fleet.by_model), ["fixed", "m", "n"])
        count = len(self.published)
        self.answered(a, [entry("m"), entry("m"), entry("n")])
        self.assertEqual(len(self.published), count)

    def test_every_setting_is_taken(self) -> None:
        """What is said of a replica's share and of its bound holds for it."""
        said = ReplicaSettings(name="a", url=A.url, weight=2.5, max_in_flight=7, labels={"rack": "r1"})
        self.keeper.configure(Settings(replica=(said,)))
        a = self.fleet.replicas[0]
        self.assertEqual((a.weight, a.max_in_flight, a.labels), (2.5, 7, {"rack": "r1"}))

    def test_settings_win_over_answers(self) -> None:
        """Configured models and engines stay."""
        self.keeper.configure(Settings(replica=(B,)))
        b = self.fleet.replicas[0]
        self.answered(b, [entry("other")])
        self.assertEqual((b.models, b.engine), (("fixed",), "openai"))

    def test_reload(self) -> None:
        """What did not change is the same object; what did keeps its load and models; what went is gone."""
        self.keeper.configure(Settings(replica=(A, B)))
        a, b = self.fleet.replicas
        self.answered(a, [entry("m")])
        lease = a.load.lease("m")
        changed = ReplicaSettings(name="a", url="http://192.0.2.1:1", on_client_gone="drain")
        self.keeper.configure(Settings(replica=(changed, B)))
        new, same = self.fleet.replicas
        self.assertIs(same, b)
        self.assertIsNot(new, a)
        self.assertEqual((new.drains, new.models, new.engine, new.load.in_flight), (True, ("m",), "vllm", 1))
        lease.release()
        self.assertEqual(new.load.in_flight, 0)
        self.answered(a, [entry("stale")])
        self.assertEqual(new.models, ("m",), "an answer for a replica that was replaced is nobody's")
        self.keeper.configure(Settings(replica=(B,)))
        self.assertEqual([replica.name for replica in self.fleet.replicas], ["b"])

    def test_another_url_is_another_replica(self) -> None:
        """Nothing is carried over."""
        self.keeper.configure(Settings(replica=(A,)))
        self.answered(self.fleet.replicas[0], [entry("m")])
        self.keeper.configure(Settings(replica=(ReplicaSettings(name="a", url="http://192.0.2.9:1"),)))
        self.assertIsNone(self.fleet.replicas[0].models)

    def test_catalogue(self) -> None:
        """The engines' own entries, plain ones for what only we know, aliases beside them."""
        aliases = (ModelSettings(name="m", aliases=("gpt",)), ModelSettings(name="nobody", aliases=("x",)))
        self.keeper.configure(Settings(replica=(A, B), model=aliases))
        self.answered(self.fleet.replicas[0], [entry("m")])
        catalogue = self.published[-1][1]
        listed = {model["id"]: model for model in orjson.loads(catalogue.listed())["data"]}
        self.assertEqual(sorted(listed), ["fixed", "gpt", "m"])
        self.assertEqual((listed["m"]["max_model_len"], listed["gpt"]["root"]), (5, "m"))
        self.assertEqual(listed["fixed"]["owned_by"], "aibrix-gateway")
        self.assertIsNone(catalogue.entry("x"))
        self.assertEqual(orjson.loads(catalogue.entry("gpt") or b"null")["id"], "gpt")

    def test_sources(self) -> None:
        """Each says its whole list; a name belongs to the one that came first; what goes while in use is leaving."""
        self.keeper.configure(Settings(replica=(A,)))
        other = ReplicaSettings(name="a", url="http://192.0.2.7:1")
        self.keeper.says("file x", (other, B))
        self.assertEqual(
            [(replica.name, replica.source) for replica in self.fleet.replicas], [("a", "static"), ("b", "file x")]
        )
        self.assertEqual(self.keeper.doubles, ["file x: the replica 'a' is one of static already"])
        b = self.fleet.replicas[1]
        lease = b.load.lease("fixed")
        count = len(self.published)
        self.keeper.says("file x", (other, B))
        self.assertEqual(len(self.published), count, "nothing is new")
        self.keeper.says("file x", ())
        self.assertEqual(([replica.name for replica in self.fleet.replicas], self.keeper.leaving), (["a"], [b]))
        lease.release()
        self.assertEqual((self.keeper.leaving, self.keeper.doubles), ([], []))
        self.keeper.says("dns y", (B,))
        self.keeper.silenced("dns y")
        self.assertEqual([replica.name for replica in self.fleet.replicas], ["a"])

    def test_probes_are_weighed(self) -> None:
        """What fails falls, and rises again; a snapshot is published each time, for those who wait."""
        self.keeper.configure(Settings(replica=(A,)))
        a = self.fleet.replicas[0]
        self.answered(a, [entry("m")])
        self.assertTrue(self.fleet.ready)
        self.keeper._probed(a, Verdict(ProbeResult.REFUSED, "nothing listens"), self.clock.seconds())
        self.assertEqual((a.up, a.last_error, self.fleet.ready), (False, "nothing listens", False))
        count = len(self.published)
        self.answered(a, [entry("m")])
        self.assertEqual((a.up, len(self.published)), (True, count + 1))

    def test_health_survives_another_setting_of_the_same_url(self) -> None:
        """Drained by hand stays drained."""
        self.keeper.configure(Settings(replica=(A,)))
        self.fleet.replicas[0].health.drain(0.0, on=True)
        self.keeper.configure(Settings(replica=(ReplicaSettings(name="a", url=A.url, weight=2.0),)))
        self.assertTrue(self.fleet.replicas[0].health.draining)
