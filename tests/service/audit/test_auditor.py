"""When it is looked, and what becomes of what is found."""

from __future__ import annotations

from twisted.logger import globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.domain.client import Client
from aibrix_twisted.domain.engine_load import EngineLoad
from aibrix_twisted.service.audit.auditor import INTERVAL_S, MAX_LOGGED, Auditor
from tests.fakes import Bench, answer, post


class AuditorTests(SynchronousTestCase):
    """On a clock in memory."""

    def setUp(self) -> None:
        self.bench = Bench()
        self.ahead = 1000.0
        self.auditor = Auditor(self.bench.exchanges, self.bench.reactor, self.wall)
        self.auditor.start()
        self.addCleanup(self.auditor.stop)
        self.said: list[str] = []
        globalLogPublisher.addObserver(self.hear)
        self.addCleanup(globalLogPublisher.removeObserver, self.hear)

    def wall(self) -> float:
        return self.ahead + self.bench.reactor.seconds()

    def hear(self, event: dict[str, object]) -> None:
        if event.get("log_namespace", "").startswith("aibrix_twisted.service.audit"):  # type: ignore[attr-defined]
            self.said.append(f"{event.get('kind')}: {event.get('what')}{event.get('timeline', '')}")

    @property
    def repairs(self) -> dict[str, int]:
        return {kind: count for kind, count in self.bench.metrics.repairs.items() if count}

    def test_nothing(self) -> None:
        """Is found of a gateway that is well."""
        self.bench.reactor.advance(INTERVAL_S)
        self.assertEqual((self.repairs, self.said), ({}, []))

    def test_what_is_found(self) -> None:
        """Is put right at the next look, counted, and told."""
        self.bench.replicas[0].load.lease("m")
        self.bench.reactor.advance(INTERVAL_S)
        self.assertEqual(self.repairs, {"lease": 1})
        self.assertEqual(self.said, ["lease: replica gpu0 counts 1 attempts in flight; there are 0"])
        self.bench.reactor.advance(INTERVAL_S)
        self.assertEqual(self.repairs, {"lease": 1})

    def test_an_exchange_is_told_with_its_timeline(self) -> None:
        """As the access log would."""
        client, _ = self.bench.client()
        client.dataReceived(post())
        self.bench.upstream()[0].dataReceived(answer())
        self.bench.exchanges.book.begun(self.bench.log.seen[0])
        self.bench.reactor.advance(INTERVAL_S)
        self.assertIn('"phases":{', self.said[0])

    def test_a_flood_is_counted_but_not_all_told(self) -> None:
        """One defect may show in thousands of exchanges."""
        client, _ = self.bench.client()
        client.dataReceived(post())
        self.bench.upstream()[0].dataReceived(answer())
        for _ in range(MAX_LOGGED + 5):
            exchange = self.bench.exchanges._begun(None, Client("192.0.2.7"), "other", 0.0)
            self.assertIn(exchange, self.bench.exchanges.book.current)
        self.auditor.look()
        self.assertEqual((self.repairs, len(self.said)), ({"exchange": MAX_LOGGED + 5}, MAX_LOGGED))

    def test_a_repair_that_fails(self) -> None:
        """The others are made all the same."""
        load = self.bench.replicas[0].load
        load.lease("m")
        self.patch(type(load), "recount", lambda self, models: 1 / 0)
        self.bench.exchanges.by_address["192.0.2.9"] = 3
        self.auditor.look()
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual(self.bench.exchanges.by_address, {})

    def test_a_check_that_fails(self) -> None:
        """The audits go on."""
        self.bench.exchanges.book = None  # type: ignore[assignment]
        self.bench.reactor.advance(INTERVAL_S)
        self.bench.reactor.advance(INTERVAL_S)
        self.assertEqual(len(self.flushLoggedErrors(AttributeError)), 2)

    def test_an_engine_that_runs_what_is_not_ours(self) -> None:
        """Is told of once, and again only after it did not; nothing is repaired."""
        said: list[dict[str, object]] = []
        globalLogPublisher.addObserver(said.append)
        self.addCleanup(globalLogPublisher.removeObserver, said.append)
        load, clock = self.bench.replicas[0].load, self.bench.reactor

        def look(running: float) -> None:
            load.read(EngineLoad(at=clock.seconds(), running=running, waiting=1.0), 99.0)
            clock.advance(INTERVAL_S)

        lease = load.lease("m")
        self.patch(type(load), "recount", lambda *_: None)
        for running in (3.0, 3.0, 0.0, 3.0, 3.0, 3.0, 3.0):
            look(running)
        lease.release()
        told = [event["count"] for event in said if event.get("name") == "gpu0" and "count" in event]
        self.assertEqual(told, [3])

    def test_a_clock_that_is_set(self) -> None:
        """Is told once; from then on that is how the clocks stand."""
        self.ahead += 3600.0
        self.bench.reactor.advance(INTERVAL_S)
        self.bench.reactor.advance(INTERVAL_S)
        self.assertEqual((self.repairs, self.said), ({"clock": 1}, ["clock: the wall's clock has jumped by +3600.0 s"]))
