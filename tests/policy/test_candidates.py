"""Who may be asked, and why nobody may."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.domain.engine_load import EngineLoad
from aibrix_twisted.domain.health import Health, ProbeResult
from aibrix_twisted.domain.replica import Replica
from aibrix_twisted.domain.settings import BreakerSettings, HealthSettings
from aibrix_twisted.policy.candidates import Lack, candidates

#: Ways in which a replica can be, from the best to the worst.
WAYS = ("plain", "slow", "busy", "full", "suspect", "open", "by hand", "hangs", "down", "draining", "unknown")

#: Those in which nothing is known that speaks against it, and those in which it may be asked only for want of better.
GOOD = frozenset({"plain", "slow", "busy", "full", "suspect"})
EJECTED = frozenset({"open", "by hand", "hangs"})


def a_replica(way: str = "plain", name: str = "a", **more: Any) -> Replica:
    """One that is so at the time 100."""
    health = Health(HealthSettings(slow_start=1000.0), BreakerSettings(open=1000.0, open_max=1000.0))
    replica = Replica(name=name, url="", host="", port=1, authority=b"", models=("m",), health=health, **more)
    rng = random.Random(1)
    if way == "slow":
        health.refused("gone", 98.0, rng)
        health.probed_with(ProbeResult.PASSED, "", 99.0, in_flight=0)
    elif way == "busy":
        health.busy_until(101.0)
    elif way == "full":
        replica.max_in_flight = 1
        replica.load.lease("m")
    elif way == "suspect":
        health.failed("reset", 99.0, rng, broke=True)
    elif way == "open":
        for _ in range(5):
            health.failed("status 500", 99.0, rng, broke=False)
    elif way == "by hand":
        health.eject(99.0, on=True)
    elif way == "hangs":
        for now in (90.0, 95.0):
            health.probed_with(ProbeResult.TIMED_OUT, "late", now, in_flight=1)
    elif way == "down":
        health.refused("gone", 99.0, rng)
    elif way == "draining":
        health.drain(99.0, on=True)
    elif way == "unknown":
        replica.models = None
    return replica


def found(
    replicas: Sequence[Replica],
    tried: Sequence[Replica] = (),
    *,
    now: float = 100.0,
    seed: int = 1,
    engine_waiting: int = 0,
) -> list[str] | Lack:
    """The names of those that may be asked; or the lack."""
    counted = {replica: replica.health.rises for replica in tried}
    chosen = candidates(replicas, counted, now, random.Random(seed), engine_waiting=engine_waiting)
    return chosen if isinstance(chosen, Lack) else [replica.name for replica in chosen]


class LackTests(SynchronousTestCase):
    """Every reason why there is none."""

    def test_one_replica(self) -> None:
        """In every way that it can be; untried, and tried before: the only one is used, ejected or not."""
        expected = {
            "plain": ["a"], "slow": ["a"], "suspect": ["a"], "busy": Lack.BUSY, "full": Lack.BUSY,
            "open": ["a"], "by hand": ["a"], "hangs": ["a"],
            "down": Lack.DOWN, "draining": Lack.DOWN, "unknown": Lack.DOWN,
        }  # fmt: skip
        for way in WAYS:
            self.assertEqual(found([a_replica(way)]), expected[way], way)
            tried = a_replica(way)
            after = Lack.SUSPECT if way == "suspect" else Lack.TRIED
            self.assertEqual(found([tried], [tried]), Lack.DOWN if expected[way] is Lack.DOWN else after, way)

    def test_two_replicas(self) -> None:
        """In every two ways: what is good goes before what is ejected; what may not be asked is never there."""
        for first in WAYS:
            for second in WAYS:
                replicas = [a_replica(first, "a"), a_replica(second, "b")]
                ways = {"a": first, "b": second}
                good = [name for name, way in ways.items() if way in GOOD]
                standing = good or [name for name, way in ways.items() if way in EJECTED]
                free = [name for name in standing if ways[name] not in ("busy", "full")]
                names = found(replicas, seed=4)
                if not standing:
                    self.assertIs(names, Lack.DOWN, ways)
                elif not free:
                    self.assertIs(names, Lack.BUSY, ways)
                elif {ways[name] for name in free} == {"slow", "plain"} or {ways[name] for name in free} == {
                    "slow",
                    "suspect",
                }:
                    self.assertLessEqual({name for name in free if ways[name] != "slow"}, set(names), ways)
                else:
                    self.assertEqual(names, free, ways)

    def test_no_replica(self) -> None:
        """A model that only the settings speak of: it pays to wait, and nothing is chosen from."""
        self.assertIs(found([]), Lack.DOWN)
        self.assertIs(found([], [a_replica()]), Lack.DOWN)

    def test_all_tried(self) -> None:
        """TRIED; SUSPECT where one of them may be gone, for then a probe will tell."""
        a, b = a_replica(name="a"), a_replica(name="b")
        self.assertEqual(found([a, b], [a]), ["b"])
        self.assertIs(found([a, b], [a, b]), Lack.TRIED)
        b.health.failed("reset", 100.0, random.Random(1), broke=True)
        self.assertIs(found([a, b], [a, b]), Lack.SUSPECT)
        b.health.refused("gone", 100.0, random.Random(1))
        self.assertIs(found([a, b], [a, b]), Lack.TRIED, "one is up, and failed")
        a.health.refused("gone", 100.0, random.Random(1))
        self.assertIs(found([a, b], [a, b]), Lack.DOWN)

    def test_tried_or_busy(self) -> None:
        """What was not tried yet but has enough is waited for."""
        a, b = a_replica(name="a"), a_replica("full", name="b")
        self.assertIs(found([a, b], [a]), Lack.BUSY)
        self.assertEqual(found([a, b], [b]), ["a"])

    def test_tried_again_only_after_it_came_up(self) -> None:
        """Not while it is up as before; not because it no longer hangs; once it was down and is up."""
        replica = a_replica()
        tried = {replica: replica.health.rises}
        rng = random.Random(1)

        def now_found() -> Sequence[Replica] | Lack:
            return candidates([replica], tried, 100.0, rng)

        self.assertIs(now_found(), Lack.TRIED)
        for at in (90.0, 95.0):
            replica.health.probed_with(ProbeResult.TIMED_OUT, "late", at, in_flight=1)
        replica.health.probed_with(ProbeResult.PASSED, "", 96.0, in_flight=1)
        self.assertIs(now_found(), Lack.TRIED)
        replica.health.refused("gone", 97.0, rng)
        self.assertIs(now_found(), Lack.DOWN)
        replica.health.probed_with(ProbeResult.PASSED, "", 98.0, in_flight=0)
        self.assertEqual(now_found(), [replica])
        tried[replica] = replica.health.rises
        self.assertIs(now_found(), Lack.TRIED)


class PanicTests(SynchronousTestCase):
    """When all that stand are ejected."""

    def test_they_are_used_all_the_same(self) -> None:
        """Those that are down are not."""
        replicas = [a_replica(way, way) for way in ("open", "by hand", "hangs", "down", "draining", "unknown")]
        self.assertEqual(found(replicas), ["open", "by hand", "hangs"])

    def test_one_that_is_well_ends_it(self) -> None:
        """Even if it has just recovered, or has enough for now."""
        replicas = [a_replica(way, way) for way in ("open", "by hand", "hangs")]
        self.assertEqual(found([*replicas, a_replica("slow", "slow")]), ["slow"])
        self.assertIs(found([*replicas, a_replica("full", "full")]), Lack.BUSY)

    def test_half_open_gets_one(self) -> None:
        """Beside others: until it has it, and not while it does."""
        replica, other = a_replica("open"), a_replica("by hand", "b")
        self.assertEqual(found([replica, other], now=5000.0), ["a"])
        replica.health.began()
        self.assertEqual(found([replica, other], now=5000.0), ["a", "b"], "a panic again")
        self.assertEqual(found([replica, a_replica(name="c")], now=5000.0), ["c"])


class RoomTests(SynchronousTestCase):
    """Has it enough?"""

    def test_max_in_flight(self) -> None:
        """So many, and none more, until one is over."""
        a, b = a_replica(name="a", max_in_flight=2), a_replica(name="b", max_in_flight=1)
        leases = [a.load.lease("m"), b.load.lease("m")]
        self.assertEqual(found([a, b]), ["a"])
        leases.append(a.load.lease("m"))
        self.assertIs(found([a, b]), Lack.BUSY)
        leases[1].release()
        self.assertEqual(found([a, b]), ["b"])

    def test_engine_waiting(self) -> None:
        """As many as may wait inside the engine: by its own word while that is fresh, and what was given it since."""
        a, b = a_replica(name="a"), a_replica(name="b")
        a.load.read(EngineLoad(at=99.0, waiting=3.0), 3.0)
        for bound, expected in ((0, ["a", "b"]), (3, ["b"]), (4, ["a", "b"])):
            self.assertEqual(found([a, b], engine_waiting=bound), expected)
        b.load.lease("m")
        a.load.lease("m")
        self.assertEqual(found([a, b], engine_waiting=4), ["b"], "it has not said anything")
        self.assertEqual(found([a, b], engine_waiting=1, now=103.0), ["a", "b"], "too long ago")

    def test_left_alone(self) -> None:
        """For as long as the engine asked for."""
        replica, other = a_replica("busy"), a_replica(name="b")
        self.assertEqual(found([replica, other]), ["b"])
        self.assertEqual(found([replica, other], now=101.0), ["a", "b"])
        self.assertTrue(replica.health.plain)


class SlowStartTests(SynchronousTestCase):
    """Those that have just recovered."""

    def test_thinned(self) -> None:
        """Beside others: as often as its share says, which grows; at the end always."""
        for now, low, high in ((100.0, 60, 140), (599.0, 440, 560), (1098.0, 990, 1000), (1099.0, 1000, 1000)):
            replicas, rng, counts = [a_replica("slow", "a"), a_replica(name="b")], random.Random(7), Counter[str]()
            for _ in range(1000):
                chosen = candidates(replicas, {}, now, rng)
                assert not isinstance(chosen, Lack)
                counts.update(replica.name for replica in chosen)
            self.assertEqual(counts["b"], 1000)
            self.assertTrue(low <= counts["a"] <= high, (now, counts))

    def test_alone_it_gets_all(self) -> None:
        """So do several that have all just recovered."""
        replicas = [a_replica("slow", "a"), a_replica("slow", "b")]
        for seed in range(50):
            self.assertEqual(found(replicas, seed=seed), ["a", "b"])


class WholeTests(SynchronousTestCase):
    """Of any fleet."""

    @given(
        st.lists(st.tuples(st.sampled_from(WAYS), st.booleans()), max_size=8), st.integers(0, 99)
    )  # fmt: skip
    def test_never_empty_never_wrong(self, ways: list[tuple[str, bool]], seed: int) -> None:
        """There is a candidate or a lack; no candidate is down, full, left alone, or tried; none is ejected beside one
        that is not."""
        named = {str(n): way for n, (way, _) in enumerate(ways)}
        replicas = [a_replica(way, name) for name, way in named.items()]
        tried = [replica for replica, (_, is_tried) in zip(replicas, ways, strict=True) if is_tried]
        names = found(replicas, tried, seed=seed)
        if isinstance(names, Lack):
            return
        self.assertTrue(names)
        self.assertFalse(set(names) & {replica.name for replica in tried})
        found_ways = {named[name] for name in names}
        self.assertLessEqual(found_ways, {"plain", "slow", "suspect"} | EJECTED)
        if found_ways & EJECTED:
            self.assertFalse(GOOD & set(named.values()))

    def test_a_thousand(self) -> None:
        """All of them where all is well, without a copy; and without the one that is not."""
        replicas = [a_replica(name=str(n)) for n in range(1000)]
        self.assertIs(candidates(replicas, {}, 100.0, random.Random(1)), replicas)
        replicas[500].health.refused("gone", 100.0, random.Random(1))
        names = found(replicas)
        assert not isinstance(names, Lack)
        self.assertEqual(len(names), 999)
        self.assertNotIn("500", names)
