"""Replicas that are added while the gateway runs: who has them, for how long, and what a restart leaves of them."""

from __future__ import annotations

import os
import random
import shutil
import tempfile
from pathlib import Path
from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.domain.fleet import Fleet
from aibrix_twisted.domain.settings import ReplicaSettings
from aibrix_twisted.service.config.replicas import replicas_of
from aibrix_twisted.service.discovery.keeper import FleetKeeper
from aibrix_twisted.service.discovery.registry import ADMIN, REGISTERED, TICK_S, Registry, table_of

A = ReplicaSettings(name="a", url="http://192.0.2.1:1")
B = ReplicaSettings(
    name="b",
    url="http://192.0.2.2:1/prefix",
    engine="vllm",
    models=("m", "n"),
    weight=2.5,
    max_in_flight=3,
    labels={"rack": "r1"},
    forward_authorization=True,
    on_client_gone="drain",
    force_usage=False,
)


class RegistryTestCase(SynchronousTestCase):
    """A registry, and what it says last of each source."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.said: dict[str, tuple[ReplicaSettings, ...]] = {}
        self.order: list[str] = []
        folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, folder)
        self.path = Path(folder, "state.json")
        self.registry = self.made()

    def made(self) -> Registry:
        """A registry that counts time."""
        registry = Registry(self.clock, self.says)
        registry.start()
        self.addCleanup(registry.stop)
        return registry

    def says(self, source: str, replicas: tuple[ReplicaSettings, ...]) -> None:
        self.said[source] = replicas
        self.order.append(source)

    def names(self, source: str) -> list[str]:
        """Those that the source names."""
        return [replica.name for replica in self.said.get(source, ())]

    def pass_time(self, seconds: float) -> None:
        """Tick by tick."""
        self.clock.pump([TICK_S] * round(seconds / TICK_S))


class LeaseTests(RegistryTestCase):
    """Registrations."""

    def test_until_it_is_over(self) -> None:
        """It is there for its time, and not half a second more than that."""
        self.registry.register(A, 30.0)
        self.pass_time(29.5)
        self.assertEqual((self.names(REGISTERED), self.registry.expires_in_s("a")), (["a"], 0.5))
        self.pass_time(0.5)
        self.assertEqual((self.names(REGISTERED), self.registry.expires_in_s("a")), ([], None))
        self.assertIsNone(self.registry.known("a"))

    def test_renewed(self) -> None:
        """The newest time counts, longer or shorter."""
        self.registry.register(A, 30.0)
        for _ in range(10):
            self.pass_time(20.0)
            self.registry.register(A, 30.0)
        self.assertEqual(self.names(REGISTERED), ["a"])
        self.registry.register(A, 1.0)
        self.pass_time(1.0)
        self.assertEqual(self.names(REGISTERED), [])

    def test_each_for_itself(self) -> None:
        """One that is over takes no other with it; those over at once are said once."""
        for name, ttl_s in (("a", 1.0), ("b", 1.0), ("c", 9.0)):
            self.registry.register(ReplicaSettings(name=name, url=f"http://{name}:1"), ttl_s)
        self.order.clear()
        self.pass_time(2.0)
        self.assertEqual((self.names(REGISTERED), self.order.count(REGISTERED)), (["c"], 1))

    def test_taken_over(self) -> None:
        """Added by an operator it stays; registered again it is the engine's, and its time counts."""
        self.registry.register(A, 1.0)
        self.registry.add(A)
        self.pass_time(5.0)
        self.assertEqual((self.names(ADMIN), self.names(REGISTERED)), (["a"], []))
        self.assertIsNone(self.registry.expires_in_s("a"))
        self.registry.register(A, 1.0)
        self.assertEqual((self.names(ADMIN), self.names(REGISTERED)), ([], ["a"]))
        self.pass_time(1.0)
        self.assertEqual((self.names(ADMIN), self.names(REGISTERED)), ([], []))

    def test_who_gains_is_told_first(self) -> None:
        """So that the replica is never on neither list."""
        for act, first in (
            (lambda: self.registry.add(A), ADMIN),
            (lambda: self.registry.register(A, 9.0), REGISTERED),
            (lambda: self.registry.add(A), ADMIN),
        ):
            self.order.clear()
            act()
            self.assertEqual(self.order[0], first)
            self.assertEqual(sorted(self.order), [ADMIN, REGISTERED])

    def test_remove(self) -> None:
        """Whichever list it is on; said only where it was on one."""
        self.registry.add(A)
        self.registry.register(B, 9.0)
        self.assertTrue(self.registry.remove("a"))
        self.assertTrue(self.registry.remove("b"))
        self.assertEqual((self.names(ADMIN), self.names(REGISTERED)), ([], []))
        self.order.clear()
        self.assertFalse(self.registry.remove("a"))
        self.assertEqual(self.order, [])

    def test_known(self) -> None:
        """What was said last."""
        self.assertIsNone(self.registry.known("a"))
        self.registry.add(A)
        self.registry.register(B, 9.0)
        self.assertEqual((self.registry.known("a"), self.registry.known("b")), (A, B))

    def test_stopped(self) -> None:
        """No time passes any more, and a second stop is none."""
        self.registry.register(A, 1.0)
        self.registry.stop()
        self.registry.stop()
        self.clock.pump([TICK_S] * 10)
        self.assertEqual((self.names(REGISTERED), self.clock.getDelayedCalls()), (["a"], []))

    @given(
        st.lists(
            st.one_of(
                st.tuples(st.just("add"), st.sampled_from("ab"), st.just(0.0)),
                st.tuples(st.just("register"), st.sampled_from("ab"), st.sampled_from([0.5, 1.0, 4.0])),
                st.tuples(st.just("remove"), st.sampled_from("ab"), st.just(0.0)),
                st.tuples(st.just("pass"), st.just(""), st.sampled_from([0.5, 1.5])),
            ),
            max_size=20,
        )
    )
    def test_any_story(self, story: list[tuple[str, str, float]]) -> None:
        """Who should be there is in the fleet, once, before and after each step; nobody is made anew without need."""
        clock, fleets = Clock(), [Fleet()]
        fetcher: Any = None  # nobody is asked
        keeper = FleetKeeper(clock, lambda fleet, _: fleets.append(fleet), fetcher, random.Random(1))
        registry = Registry(clock, keeper.says)
        registry.start()
        until: dict[str, float] = {}
        for what, name, amount in story:
            before, healths = set(until), {replica.name: replica.health for replica in fleets[-1].replicas}
            replica = ReplicaSettings(name=name or "x", url=f"http://{name}:1")
            del fleets[:-1]
            if what == "add":
                registry.add(replica)
                until[name] = float("inf")
            elif what == "register":
                registry.register(replica, amount)
                until[name] = clock.seconds() + amount
            elif what == "remove":
                self.assertEqual(registry.remove(name), until.pop(name, None) is not None)
            else:
                clock.pump([TICK_S] * round(amount / TICK_S))
                until = {name: at for name, at in until.items() if at > clock.seconds()}
            for fleet in fleets:
                names = [replica.name for replica in fleet.replicas]
                self.assertEqual(len(names), len(set(names)))
                self.assertLessEqual(before & set(until), set(names))
            self.assertEqual({replica.name for replica in fleets[-1].replicas}, set(until))
            for replica_now in fleets[-1].replicas:
                if replica_now.name in before and what != "pass":
                    self.assertIs(replica_now.health, healths[replica_now.name])
            self.assertEqual(keeper.doubles, [])
        registry.stop()


class StateFileTests(RegistryTestCase):
    """What an operator added, over a restart."""

    def kept(self) -> list[str]:
        """Names in the file, which is whole at all times."""
        return [replica.name for replica in replicas_of(orjson.loads(self.path.read_bytes()), "")]

    def restarted(self) -> Registry:
        """Another registry with the same file."""
        self.said.clear()
        registry = self.made()
        registry.configure(str(self.path))
        return registry

    def test_over_a_restart(self) -> None:
        """What was added is there, with all that was said of it; what registered itself will do so again."""
        self.registry.configure(str(self.path))
        self.assertFalse(self.path.exists(), "there is nothing to keep yet")
        self.registry.add(A)
        self.registry.add(B)
        self.registry.register(ReplicaSettings(name="c", url="http://c:1"), 30.0)
        self.assertEqual(self.kept(), ["a", "b"])
        self.registry.register(A, 30.0)
        self.assertEqual(self.kept(), ["b"])
        again = self.restarted()
        self.assertEqual((self.said, again.problem), ({ADMIN: (B,), REGISTERED: ()}, ""))
        again.remove("b")
        self.assertEqual(self.kept(), [])
        self.assertEqual(os.listdir(self.path.parent), ["state.json"], "nothing is left beside it")

    def test_tables(self) -> None:
        """What is as it is by default is not written; what is not is read back."""
        self.assertEqual(table_of(A), {"url": A.url, "name": "a"})
        for replica in (A, B):
            self.assertEqual(replicas_of(orjson.loads(orjson.dumps([table_of(replica)])), ""), (replica,))

    def test_no_file(self) -> None:
        """Nothing is written anywhere, and nothing is wrong."""
        self.registry.configure("")
        self.registry.add(A)
        self.assertEqual((self.registry.problem, os.listdir(self.path.parent)), ("", []))

    def test_what_was_added_first_stays(self) -> None:
        """A file that is named later brings what is not there yet, and from then on has everything."""
        self.path.write_bytes(orjson.dumps([{"url": "http://192.0.2.9:1", "name": "a"}, {"url": B.url, "name": "b"}]))
        self.registry.add(A)
        self.registry.register(ReplicaSettings(name="b", url="http://192.0.2.8:1"), 9.0)
        self.registry.configure(str(self.path))
        self.assertEqual((self.said[ADMIN], self.names(REGISTERED)), ((A,), ["b"]))
        self.assertEqual(self.kept(), ["a"])
        other = self.path.with_name("other.json")
        self.registry.configure(str(other))
        self.assertEqual(orjson.loads(other.read_bytes()), [table_of(A)])
        self.registry.configure("")
        self.registry.add(B)
        self.assertEqual(orjson.loads(other.read_bytes()), [table_of(A)])

    def test_files_that_cannot_be_used(self) -> None:
        """They are a problem that names them; the gateway goes on; they are not lost by the next change."""
        for content, part in (
            (b"", "line 1"),
            (b"[{", "line 1"),
            (b"{}", "replica"),
            (b"null", "replica"),
            (b"\xff", "state.json"),
            (b'[{"url": "x"}]', "replica[0].url"),
            (b'[{"url": "http://x:1"}, {"url": "http://x:1"}]', "second time"),
            (b'[{"url": "http://x:1", "surprise": 1}]', "surprise"),
            (b'[{"url": "http://x:1", "api_key_file": "/nonexistent"}]', "/nonexistent"),
        ):
            self.path.write_bytes(content)
            registry = self.restarted()
            self.assertTrue(registry.problem.startswith(f"state file {self.path}: "), registry.problem)
            self.assertIn(part, registry.problem)
            self.assertEqual((self.names(ADMIN), self.path.read_bytes()), ([], content))
            registry.add(A)
            aside = self.path.with_name("state.json.unread")
            self.assertEqual((self.kept(), aside.read_bytes()), (["a"], content))
            self.assertIn(str(aside), registry.problem)
            registry.add(B)
            self.assertEqual((self.kept(), registry.problem, aside.read_bytes()), (["a", "b"], "", content))

    def test_a_file_that_is_mended(self) -> None:
        """A reload reads it again, and only then."""
        self.path.write_bytes(b"[{")
        self.registry.configure(str(self.path))
        self.path.write_bytes(orjson.dumps([table_of(A)]))
        self.registry.configure(str(self.path))
        self.assertEqual((self.names(ADMIN), self.registry.problem), (["a"], ""))
        self.path.write_bytes(orjson.dumps([table_of(B)]))
        self.registry.configure(str(self.path))
        self.assertEqual(self.names(ADMIN), ["a"])

    def test_a_broken_file_that_is_taken_away(self) -> None:
        """Then there is nothing to keep of it."""
        self.path.write_bytes(b"[{")
        self.registry.configure(str(self.path))
        self.path.unlink()
        self.registry.add(A)
        self.assertEqual((self.kept(), self.registry.problem), (["a"], ""))
        self.assertEqual(os.listdir(self.path.parent), ["state.json"])

    def test_places_that_are_none(self) -> None:
        """A folder is left alone; what is added holds for as long as the gateway runs."""
        self.path.mkdir()
        for place in (str(self.path), str(self.path / "nowhere" / "state.json"), "/", "a\0b"):
            registry = self.made()
            registry.configure(place)
            registry.add(A)
            self.assertIn("state file", registry.problem, place)
            self.assertEqual(self.names(ADMIN), ["a"])
        self.assertTrue(self.path.is_dir())

    def test_a_write_that_fails(self) -> None:
        """Leaves the file as it was, is a problem until one succeeds, and is made good by it."""
        self.registry.configure(str(self.path))
        self.registry.add(A)
        blocker = self.path.with_name(f".state.json.{os.getpid()}.new")
        blocker.mkdir()
        self.registry.add(B)
        self.assertEqual((self.kept(), self.names(ADMIN)), (["a"], ["a", "b"]))
        self.assertIn("state file", self.registry.problem)
        blocker.rmdir()
        self.registry.remove("a")
        self.assertEqual((self.kept(), self.registry.problem), (["b"], ""))

    def test_it_is_replaced_and_never_rewritten(self) -> None:
        """Who has the old one open reads it to its end; what was left by a write that broke off is in nobody's way."""
        self.registry.configure(str(self.path))
        self.registry.add(A)
        self.path.with_name(f".state.json.{os.getpid()}.new").write_bytes(b"half of a li")
        with self.path.open("rb") as reader:
            self.registry.add(B)
            self.assertEqual(orjson.loads(reader.read()), [table_of(A)])
        self.assertEqual(self.kept(), ["a", "b"])
