"""A thousand replicas: what a new snapshot costs in time and memory, and how the reading of their load is spread."""

from __future__ import annotations

import random
import time
import tracemalloc
from collections import Counter
from statistics import median
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.domain.fleet import Fleet
from aibrix_twisted.domain.replica import Replica
from aibrix_twisted.domain.settings import ReplicaSettings
from aibrix_twisted.service.discovery.catalogue import Catalogue
from aibrix_twisted.service.discovery.keeper import FleetKeeper
from aibrix_twisted.service.health.scrape import TURNS, Scraper
from aibrix_twisted.wire.models import Entry

COUNT = 1000
SWAPS = 30


def settings_of(count: int, **of_the_last: Any) -> tuple[ReplicaSettings, ...]:
    """So many, each made anew, as a file that is read again makes them.

    @param of_the_last: what is said of the last one only.
    """
    return tuple(
        ReplicaSettings(
            name=f"10.0.{number // 250}.{number % 250}:8000",
            url=f"http://10.0.{number // 250}.{number % 250}:8000",
            **(of_the_last if number == count - 1 else {}),
        )
        for number in range(count)
    )


def entries() -> list[Entry]:
    """What a probe brings; each replica has its own objects of it."""
    models = [f"model-{letter}" for letter in "ab"]
    return [{"id": name, "object": "model", "owned_by": "vllm", "max_model_len": 4096} for name in models]


class Kept:
    """A keeper that asks nobody, and what it published last."""

    def __init__(self, count: int) -> None:
        fetcher: Any = None  # the prober is not started
        self.fleet = Fleet()
        self.catalogue = Catalogue(self.fleet, {})
        self.published = 0
        self.keeper = FleetKeeper(Clock(), self.publish, fetcher, random.Random(1))
        said = settings_of(count)
        self.keeper.says("file", said)
        for wanted, replica in zip(said, self.fleet.replicas, strict=True):
            self.keeper._learn(wanted, replica, entries())
        self.keeper.renew()

    def publish(self, fleet: Fleet, catalogue: Catalogue) -> None:
        """From the keeper."""
        self.fleet, self.catalogue = fleet, catalogue
        self.published += 1


class Counted:
    """In the fetcher's place: answers at once, and counts by turn and by replica."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.by_turn: Counter[int] = Counter()
        self.by_name: Counter[str] = Counter()

    def get(self, replica: Replica, path: bytes, max_bytes: int, timeout_s: float) -> Deferred[tuple[int, bytes]]:
        """A question."""
        self.by_turn[round(self.clock.seconds() * TURNS)] += 1
        self.by_name[replica.name] += 1
        return succeed((200, b"vllm:num_requests_running 1\n"))

    def close(self) -> Deferred[None]:
        """Nothing is kept."""
        return succeed(None)


class SnapshotTests(SynchronousTestCase):
    """A list that is said anew."""

    def test_one_of_a_thousand_changes(self) -> None:
        """One snapshot; of the others, none is made anew.  How long that takes is printed: 5 ms are the goal."""
        kept = Kept(COUNT)
        taken: list[float] = []
        for swap in range(SWAPS):
            before, count = kept.fleet.replicas, kept.published
            said = settings_of(COUNT, weight=2.0 + swap)
            began = time.perf_counter()
            kept.keeper.says("file", said)
            taken.append((time.perf_counter() - began) * 1000)
            changed = [old.name for old, new in zip(before, kept.fleet.replicas, strict=True) if old is not new]
            self.assertEqual((changed, kept.published), ([said[-1].name], count + 1))
        self.assertEqual([len(serving) for serving in kept.fleet.by_model.values()], [COUNT, COUNT])
        print(f"\n{COUNT} replicas, one changed: {median(taken):.2f} ms a snapshot, {max(taken):.2f} ms at most")

    def test_one_comes_and_one_goes(self) -> None:
        """The others stay who they are; said once more, nothing is published at all."""
        kept = Kept(COUNT)
        before, count = kept.fleet.replicas, kept.published
        said = (*settings_of(COUNT)[1:], ReplicaSettings(name="new", url="http://10.1.0.1:8000"))
        kept.keeper.says("file", said)
        self.assertEqual(kept.fleet.replicas[:-1], before[1:])
        kept.keeper.says("file", (*settings_of(COUNT)[1:], ReplicaSettings(name="new", url="http://10.1.0.1:8000")))
        self.assertEqual(kept.published, count + 1)

    def test_memory_is_linear(self) -> None:
        """Twice as many take twice as much; and one that was swapped out many times leaves nothing behind."""
        taken = [self.memory(count) for count in (COUNT, 2 * COUNT)]
        print(f"\n{taken[0] / COUNT:.0f} and {taken[1] / COUNT / 2:.0f} bytes a replica")
        self.assertLess(taken[1], 2.3 * taken[0])

    def test_swaps_leave_nothing_behind(self) -> None:
        """After many of them there is as much as before."""
        kept = Kept(COUNT)
        tracemalloc.start()
        self.addCleanup(tracemalloc.stop)
        kept.keeper.says("file", settings_of(COUNT, weight=2.0))
        before = tracemalloc.get_traced_memory()[0]
        for swap in range(SWAPS):
            kept.keeper.says("file", settings_of(COUNT, weight=3.0 + swap))
        self.assertLess(tracemalloc.get_traced_memory()[0], 1.5 * before)

    @staticmethod
    def memory(count: int) -> int:
        """Bytes that a fleet of so many takes."""
        tracemalloc.start()
        try:
            kept = Kept(count)
            taken = tracemalloc.get_traced_memory()[0]
            del kept
            return taken
        finally:
            tracemalloc.stop()


class ScrapingTests(SynchronousTestCase):
    """All of them, once a second."""

    def test_it_is_spread_evenly(self) -> None:
        """Each is asked once in each second, and no turn has more than twice its part, however the fleet changes."""
        clock, kept = Clock(), Kept(COUNT)
        counted: Any = Counted(clock)
        scraper = Scraper(clock, lambda: kept.fleet.replicas, fetcher=counted)
        scraper.start()
        self.addCleanup(scraper.stop)
        seconds = 4
        for second in range(seconds):
            clock.pump([1 / TURNS] * TURNS)
            kept.keeper.says("file", settings_of(COUNT, weight=2.0 + second))
        self.assertEqual(set(counted.by_name.values()), {seconds})
        self.assertEqual(sorted(counted.by_turn), list(range(1, seconds * TURNS + 1)))
        print(f"\n{min(counted.by_turn.values())} to {max(counted.by_turn.values())} questions a turn")
        self.assertLessEqual(max(counted.by_turn.values()), 2 * COUNT // TURNS)
        self.assertGreaterEqual(min(counted.by_turn.values()), COUNT // TURNS // 4)
