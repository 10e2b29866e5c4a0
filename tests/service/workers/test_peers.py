"""What workers know of each other: two of them in one process, who hear each other at once."""

from __future__ import annotations

import os
from typing import Any

from prometheus_client.metrics_core import Metric
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.domain.breaker import BreakerState
from aibrix_twisted.domain.fleet import Fleet
from aibrix_twisted.domain.health import Health, State
from aibrix_twisted.domain.settings import BreakerSettings, HealthSettings
from aibrix_twisted.service.telemetry import families
from aibrix_twisted.service.workers.board import REGIONS, Board, board_bytes
from aibrix_twisted.service.workers.peers import LOOK_S, SHOW_S, VERDICTS_S, Peers
from aibrix_twisted.service.workers.snapshots import STRETCH_BYTES, clear_snapshot, unnamed_file
from tests.fakes import replica


class Lot:
    """No luck."""

    def random(self) -> float:
        return 1.0


class Gateway:
    """Of one worker."""

    def __init__(self) -> None:
        health = Health(HealthSettings(), BreakerSettings(failures=2, open=8.0))
        self.replica = replica("a", health=health)
        self.fleet = Fleet.of([self.replica])
        self.counted = 0

    def metrics_now(self) -> list[Metric]:
        return [
            families.REQUESTS.of({("m", "chat", "200", "complete"): self.counted}),
            families.CLIENT_CONNECTIONS.of({(): 1}),
        ]

    def counts_now(self) -> dict[Any, Any]:
        return {("requests", "m"): (self.counted,)}

    def facts_now(self) -> Any:
        return {"under_way": self.counted}


class PeersTests(SynchronousTestCase):
    """Two."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.board, self.snapshots = unnamed_file(board_bytes()), unnamed_file(REGIONS * STRETCH_BYTES)
        for descriptor in (self.board, self.snapshots):
            self.addCleanup(os.close, descriptor)
        self.supervisor = Board(self.board)
        self.said: list[dict[str, Any]] = []
        self.one, self.one_is, self.first = self.worker()
        self.two, self.two_is, self.second = self.worker()
        self.clock.advance(SHOW_S)

    def worker(self) -> tuple[Peers, Gateway, int]:
        """One more."""
        region, gateway = self.supervisor.take(), Gateway()
        assert region is not None
        made = Peers(
            self.clock,
            gateway,
            Board(self.board, region),
            self.snapshots,
            region,
            lambda words: self.said.append(words),
        )
        made.start()
        return made, gateway, region

    def deliver(self) -> None:
        """What was said, to the second."""
        said, self.said = self.said, []
        for words in said:
            key, *verdict = words["verdict"]
            self.two.told_verdict(key, tuple(verdict))

    def requests(self, peers: Peers) -> float:
        """As they are exposed."""
        return sum(sample.value for family in peers.collect() for sample in family.samples if "requests" in sample.name)

    def test_in_flight(self) -> None:
        """Seen a moment later; not looked for more often than that."""
        lease = self.one_is.replica.load.lease("m")
        self.two.look(self.clock.seconds() + 1.1 * LOOK_S)
        self.assertEqual(self.two_is.replica.load.elsewhere, 1)
        lease.release()
        self.two.look(self.clock.seconds() + 1.2 * LOOK_S)
        self.assertEqual(self.two_is.replica.load.elsewhere, 1)
        self.two.look(self.clock.seconds() + 3 * LOOK_S)
        self.assertEqual(self.two_is.replica.load.elsewhere, 0)

    def test_a_new_fleet_is_looked_at_at_once(self) -> None:
        """And what is under way there already is shown."""
        more = replica("b")
        more.load.lease("m")
        for gateway in (self.one_is, self.two_is):
            gateway.fleet = Fleet.of([gateway.replica, more if gateway is self.one_is else replica("b")])
        self.one.look(self.clock.seconds())
        self.two.look(self.clock.seconds())
        self.assertEqual(self.two_is.fleet.replicas[1].load.elsewhere, 1)

    def test_a_breaker(self) -> None:
        """Open here, it is open there for as long; tried here, it is not tried there; closed here, it is there."""
        here, there = self.one_is.replica.health, self.two_is.replica.health
        now = self.clock.seconds()
        for _ in range(2):
            here.failed("it failed", now, Lot(), broke=False)
        self.clock.advance(2 * VERDICTS_S)
        self.assertEqual(there.state(known=True), State.UP)
        self.deliver()
        self.assertEqual((there.state(known=True), there.reason), (State.EJECTED, "as another worker found"))
        self.assertEqual(there.breaker.until, here.breaker.until)
        self.clock.advance(8.0)
        later = self.clock.seconds()
        self.assertFalse(here.ejected(later))
        here.began()
        self.clock.advance(2 * VERDICTS_S)
        self.deliver()
        self.assertTrue(there.ejected(later))
        here.succeeded(later)
        self.clock.advance(2 * VERDICTS_S)
        self.deliver()
        self.assertEqual(there.breaker.state, BreakerState.CLOSED)
        self.assertFalse(there.ejected(later))
        self.clock.advance(1.0)
        self.assertEqual(self.said, [], "what it was told it does not say again")

    def test_whoever_tried_it_is_gone(self) -> None:
        """Another one may."""
        self.two.told_verdict("a\nhttp://a:1", (False, False, "half-open", 0.0))
        there = self.two_is.replica.health
        self.assertTrue(there.ejected(self.clock.seconds()))
        self.two.one_is_gone()
        self.assertFalse(there.ejected(self.clock.seconds()))

    def test_by_hand(self) -> None:
        """Drained and ejected, and taken back; and said again to whoever is new."""
        here, there, now = self.one_is.replica.health, self.two_is.replica.health, self.clock.seconds()
        for change, state in (
            (lambda: here.drain(now, on=True), State.DRAINING),
            (lambda: here.drain(now, on=False), State.UP),
            (lambda: here.eject(now, on=True), State.EJECTED),
        ):
            change()
            self.clock.advance(2 * VERDICTS_S)
            self.deliver()
            self.assertEqual(there.state(known=True), state)
        self.one.tell_all()
        self.assertEqual(len(self.said), 1)

    def test_numbers(self) -> None:
        """Of both, whoever is asked; a second old at most."""
        self.one_is.counted, self.two_is.counted = 3, 4
        self.clock.advance(SHOW_S)
        self.assertEqual((self.requests(self.one), self.requests(self.two)), (7, 7))
        self.assertEqual(self.one.counts(), {("requests", "m"): (4,)})
        self.assertEqual(self.one.facts(), [{"under_way": 4}])

    def test_numbers_of_the_dead(self) -> None:
        """Are there all the time, once: before another one has taken them over, and after; gauges are gone."""
        self.one_is.counted, self.two_is.counted = 3, 4
        self.clock.advance(SHOW_S)
        self.supervisor.clear(self.second)
        self.assertEqual(self.requests(self.one), 7)
        self.assertEqual(self.one.facts(), [])
        three, _, third = self.worker()
        three.absorb(self.second)
        three.absorb(self.second)
        self.assertEqual((self.requests(self.one), self.requests(three)), (7, 7))
        self.supervisor.give_back(self.second)
        self.assertEqual((self.requests(self.one), self.requests(three)), (7, 7))
        self.supervisor.clear(third)
        self.one.absorb(third)
        self.one.absorb(third)
        self.supervisor.give_back(third)
        self.assertEqual(self.requests(self.one), 7)

    def test_one_that_died_before_it_could_say_that_it_had_taken_over(self) -> None:
        """Its successor is given both, in either order; nothing is counted twice."""
        self.one_is.counted, self.two_is.counted = 3, 4
        self.clock.advance(SHOW_S)
        self.supervisor.clear(self.second)
        three, _, third = self.worker()
        three.absorb(self.second)
        self.supervisor.clear(third)
        for order in ((self.second, third), (third, self.second)):
            heir, _, region = self.worker()
            for left in order:
                heir.absorb(left)
            self.assertEqual((self.requests(self.one), self.requests(heir)), (7, 7))
            self.supervisor.clear(region)
            clear_snapshot(self.snapshots, region)
