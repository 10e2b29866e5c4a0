"""All sources together: which there are after each reload, whose word stands, what is wrong with whom."""

from __future__ import annotations

import random
import shutil
import tempfile
from pathlib import Path
from typing import Any

import orjson
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.domain.fleet import Fleet
from aibrix_twisted.domain.settings import DiscoverySettings, DnsSettings, ReplicaSettings, Settings
from aibrix_twisted.service.discovery import discovery as discovery_module
from aibrix_twisted.service.discovery.catalogue import Catalogue
from aibrix_twisted.service.discovery.discovery import Discovery
from aibrix_twisted.service.discovery.registry import TICK_S
from aibrix_twisted.service.discovery.source import Publish

HOST = DnsSettings(name="gpu.example")
STATIC = ReplicaSettings(name="static", url="http://192.0.2.1:1")


def one(name: str) -> ReplicaSettings:
    """A replica that a source may name."""
    return ReplicaSettings(name=name, url=f"http://{name}:1")


class Source:
    """In a file's or a name's place: says what the test says.

    @ivar life: what it was told to do.
    """

    def __init__(self, wanted: str | DnsSettings, publish: Publish) -> None:
        self.name = f"file {wanted}" if isinstance(wanted, str) else f"dns {wanted.name}:{wanted.port}"
        self.wanted = wanted
        self.publish = publish
        self.problem = ""
        self.life: list[str] = []

    def start(self) -> None:
        """Begin to say."""
        self.life.append("start")

    def stop(self) -> None:
        """Say no more."""
        self.life.append("stop")

    def says(self, *names: str) -> None:
        """These, and no others."""
        self.publish(tuple(map(one, names)))


class DiscoveryTests(SynchronousTestCase):
    """With sources in memory, and engines that never answer."""

    def setUp(self) -> None:
        self.sources: list[Source] = []
        self.patch(discovery_module, "FileSource", self.made)
        self.patch(discovery_module, "DnsSource", self.made)
        self.reactor = MemoryReactorClock()
        self.fleet = Fleet()
        self.discovery = Discovery(self.reactor, self.fleet_is, random.Random(1))

    def made(self, wanted: str | DnsSettings, publish: Publish, reactor: Any) -> Source:
        """A source is wanted."""
        self.sources.append(Source(wanted, publish))
        return self.sources[-1]

    def fleet_is(self, fleet: Fleet, catalogue: Catalogue) -> None:
        """From the keeper."""
        self.fleet = fleet

    def names(self) -> list[str]:
        """Of the fleet."""
        return [replica.name for replica in self.fleet.replicas]

    def configure(self, *wanted: str | DnsSettings, state_file: str = "", **more: Any) -> list[Source]:
        """Take these.

        @return: the sources that are made anew.
        """
        before = len(self.sources)
        settings = DiscoverySettings(
            files=tuple(one for one in wanted if isinstance(one, str)),
            dns=tuple(one for one in wanted if isinstance(one, DnsSettings)),
            state_file=state_file,
        )
        self.discovery.configure(Settings(replica=(STATIC,), discovery=settings, **more))
        return self.sources[before:]

    def test_what_is_made(self) -> None:
        """One for each that is wanted; none begins before everything does."""
        made = self.configure("/a.toml", HOST, "/b.json")
        self.assertEqual([source.wanted for source in made], ["/a.toml", "/b.json", HOST])
        self.assertEqual([source.life for source in made], [[], [], []])
        self.discovery.start()
        self.assertEqual([source.life for source in made], [["start"]] * 3)
        self.discovery.stop()
        self.assertEqual([source.life for source in made], [["start", "stop"]] * 3)
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_what_they_say(self) -> None:
        """Each under its own name, beside the configuration."""
        a, host = self.configure("/a.toml", HOST)
        a.says("x")
        host.says("y", "z")
        found = [(replica.name, replica.source) for replica in self.fleet.replicas]
        self.assertEqual(
            found,
            [("static", "static"), ("x", "file /a.toml"), ("y", "dns gpu.example:8000"), ("z", "dns gpu.example:8000")],
        )
        a.says()
        self.assertEqual(self.names(), ["static", "y", "z"])

    def test_a_reload(self) -> None:
        """Who is wanted still goes on as it is, who is new begins, who is not wanted ends, and its replicas with it."""
        a, host = self.configure("/a.toml", HOST)
        self.discovery.start()
        a.says("x")
        host.says("y")
        (b,) = self.configure("/b.toml", HOST)
        self.assertEqual((a.life, host.life, b.life), (["start", "stop"], ["start"], ["start"]))
        self.assertEqual(self.names(), ["static", "y"])
        self.assertEqual(self.configure(HOST, "/b.toml"), [])
        self.assertEqual(self.configure(), [])
        self.assertEqual((host.life, b.life, self.names()), (["start", "stop"], ["start", "stop"], ["static"]))
        self.discovery.stop()

    def test_another_setting_of_the_same_name(self) -> None:
        """Is another source; what its predecessor said stands until it has said something."""
        (host,) = self.configure(HOST)
        self.discovery.start()
        host.says("x", "y")
        replica = self.fleet.replicas[1]
        (other,) = self.configure(DnsSettings(name=HOST.name, max_ttl=5.0))
        self.assertEqual((host.life, other.life), (["start", "stop"], ["start"]))
        self.assertEqual(self.names(), ["static", "x", "y"])
        other.says("x")
        self.assertEqual(self.names(), ["static", "x"])
        self.assertIs(self.fleet.replicas[1], replica)
        self.discovery.stop()

    def test_the_same_twice(self) -> None:
        """Each for itself; one of them less takes nothing away."""
        first, second = self.configure("/a.toml", "/a.toml")
        first.says("x")
        second.says("x")
        self.assertEqual(self.configure("/a.toml"), [])
        self.assertEqual((first.life, second.life, self.names()), ([], ["stop"], ["static", "x"]))

    def test_problems(self) -> None:
        """Of each source by its name, of the state file, and of names that two have; what is gone has none."""
        a, host = self.configure("/a.toml", HOST)
        self.assertEqual(self.discovery.problems, [])
        a.problem, host.problem = "cannot be read", "no answer"
        a.says("static")
        folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, folder)
        self.configure("/a.toml", HOST, state_file=folder)
        problems = self.discovery.problems
        self.assertEqual(problems[:2], ["file /a.toml: cannot be read", "dns gpu.example:8000: no answer"])
        self.assertTrue(problems[2].startswith(f"state file {folder}: "), problems)
        self.assertEqual(problems[3:], ["file /a.toml: the replica 'static' is one of static already"])
        self.configure()
        self.assertEqual(self.discovery.problems, [])

    def test_what_was_added(self) -> None:
        """Comes back from the state file, and is nobody's to take but an operator's."""
        folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, folder)
        path = Path(folder, "state.json")
        path.write_bytes(orjson.dumps([{"url": "http://192.0.2.9:1", "name": "added"}]))
        (a,) = self.configure("/a.toml", state_file=str(path))
        a.says("added", "x")
        self.assertEqual(
            [(replica.name, replica.source) for replica in self.fleet.replicas],
            [("static", "static"), ("added", "admin"), ("x", "file /a.toml")],
        )
        self.configure("/a.toml", state_file=str(path))
        self.assertEqual(self.names(), ["static", "added", "x"])

    def test_registrations_expire_while_it_runs(self) -> None:
        """And not before it does, nor after."""
        self.configure()
        self.discovery.registry.register(one("r"), 1.0)
        self.reactor.pump([TICK_S] * 4)
        self.assertIn("r", self.names())
        self.discovery.start()
        self.discovery.stop()
        self.reactor.pump([TICK_S] * 4)
        self.assertIn("r", self.names())
        self.discovery.start()
        self.reactor.pump([TICK_S] * 2)
        self.assertNotIn("r", self.names())
        self.discovery.stop()

    def test_who_is_found_is_asked(self) -> None:
        """Each replica is probed, whoever named it, from when it is known."""
        (a,) = self.configure("/a.toml")
        self.discovery.start()
        a.publish((ReplicaSettings(name="x", url="http://192.0.2.7:7"),))
        self.reactor.pump([0.1] * 3)
        self.assertEqual(sorted({port for _, port, *_ in self.reactor.tcpClients}), [1, 7])
        self.discovery.stop()
