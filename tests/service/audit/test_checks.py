"""States that disagree, made by hand: each is found, put right, and found no more."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable

from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.domain.settings import QueueSettings, Settings, Timeouts
from aibrix_twisted.domain.waiting_room import Priority, Ticket
from aibrix_twisted.service.audit.auditor import Auditor
from aibrix_twisted.service.audit.checks import LATE_S, findings
from aibrix_twisted.service.telemetry.metrics import REPAIRED
from tests.fakes import STREAM_HEAD, Bench, answer, post, replica
from tests.service.downstream.slow import SlowScene, slow_settings


class Audited(Bench):
    """A gateway that is looked at."""

    def kinds(self) -> Counter[str]:
        """Of what disagrees now."""
        return Counter(finding.kind for finding in findings(self.exchanges))

    def repair(self) -> dict[str, int]:
        """Put everything right at one audit; how many repairs were counted, by kind."""
        before = dict(self.metrics.repairs)
        Auditor(self.exchanges, self.reactor, self.reactor.seconds).look()
        return {kind: count - before[kind] for kind, count in self.metrics.repairs.items() if count > before[kind]}


class HealthyTests(SynchronousTestCase):
    """Nothing is found where nothing is wrong, at each step of an exchange."""

    def test_from_first_to_last(self) -> None:
        """Idle, reading, connecting, waiting for an answer, streaming, over, and read on after the client left."""
        bench = Audited(replicas=(replica("gpu0", drains=True),))
        steps: list[Counter[str]] = [bench.kinds()]
        client, wire = bench.client()
        steps.append(bench.kinds())
        request = post(b'{"model":"m","stream":true}')
        client.dataReceived(request[:60])
        steps.append(bench.kinds())
        client.dataReceived(request[60:-5])
        steps.append(bench.kinds())
        client.dataReceived(request[-5:])
        steps.append(bench.kinds())
        up, _ = bench.upstream()
        steps.append(bench.kinds())
        up.dataReceived(STREAM_HEAD)
        steps.append(bench.kinds())
        wire.lose()
        self.assertEqual(bench.replicas[0].load.in_flight, 1)
        steps.append(bench.kinds())
        up.dataReceived(b"0\r\n\r\n")
        steps.append(bench.kinds())
        self.assertEqual(steps, [Counter()] * 9)

    def test_while_it_waits(self) -> None:
        """For a replica, and for the moment to try again."""
        bench = Audited(Settings(queue=QueueSettings(wait_busy=10.0)), replicas=(replica("gpu0", max_in_flight=1),))
        first, second = bench.client()[0], bench.client()[0]
        first.dataReceived(post())
        second.dataReceived(post())
        self.assertEqual(bench.exchanges.waiting.room.count, 1)
        self.assertEqual(bench.kinds(), Counter())

    def test_while_settings_change(self) -> None:
        """A replica whose settings are others goes on with the counts of the one that it was."""
        bench = Audited()
        bench.client()[0].dataReceived(post())
        bench.replicas = (dataclasses.replace(bench.replicas[0], weight=2.0),)
        bench.publish()
        self.assertEqual(bench.replicas[0].load.in_flight, 1)
        self.assertEqual(bench.kinds(), Counter())
        bench.upstream()[0].dataReceived(answer())
        self.assertEqual((bench.replicas[0].load.in_flight, bench.kinds()), (0, Counter()))

    def test_while_a_connection_closes(self) -> None:
        """Its transport says so in a turn of its own."""
        for said in (answer(b"{}", b"connection: close"), b"HTTQ", answer() + b"excess"):
            bench = Audited()
            bench.client()[0].dataReceived(post())
            up, wire = bench.upstream()
            wire.abortConnection = lambda: None  # type: ignore[method-assign]
            up.dataReceived(said)
            self.assertEqual((bench.pool.open, bench.pool.idle, bench.kinds()), (1, 0, Counter()))
            wire.lose()
            self.assertEqual(bench.pool.open, 0)

    def test_a_refused_client_that_lingers(self) -> None:
        """It has had its answer."""
        bench = Audited()
        client, _ = bench.client()
        client.dataReceived(b"POST /nowhere HTTP/1.1\r\nhost: gw\r\ncontent-length: 5\r\n\r\n")
        self.assertEqual(bench.kinds(), Counter())


class RepairTests(SynchronousTestCase):
    """One kind after the other."""

    def repaired(self, bench: Audited, kind: str, fine: Callable[[], bool]) -> None:
        """It is found, and only it; one audit repairs and counts it, and the next finds nothing."""
        self.assertIn(kind, REPAIRED)
        found = bench.kinds()
        self.assertEqual(set(found), {kind})
        self.assertEqual(bench.repair(), dict(found))
        self.assertEqual(bench.repair(), {})
        self.assertTrue(fine())

    def asked(self, **settings: object) -> Audited:
        """A gateway whose one client waits for its answer."""
        bench = Audited(Settings(**settings))  # type: ignore[arg-type]
        self.client, self.wire = bench.client()
        self.client.dataReceived(post())
        return bench

    def test_a_lease_that_nobody_holds(self) -> None:
        """Counted in flight, in all and by model; a lease that is there stays counted."""
        bench = self.asked()
        load = bench.replicas[0].load
        load.lease("m")
        load.lease("other")
        self.repaired(bench, "lease", lambda: (load.in_flight, load.by_model) == (1, {"m": 1, "other": 0}))
        bench.upstream()[0].dataReceived(answer())
        self.assertEqual(load.in_flight, 0)

    def test_a_lease_that_is_not_counted(self) -> None:
        """A count that went down twice."""
        bench = self.asked()
        load = bench.replicas[0].load
        load.in_flight, load.by_model = 0, {"m": 0}
        self.repaired(bench, "lease", lambda: load.in_flight == 1)

    def test_a_file_for_nobody(self) -> None:
        """Its client is gone, or has another one."""
        scene = SlowScene(bench=Audited(slow_settings()))
        scene.slow()
        bench, spool = scene.bench, scene.client.spool
        assert isinstance(bench, Audited) and spool is not None
        self.assertEqual(bench.kinds(), Counter())
        scene.client._spool = None
        self.repaired(bench, "spool", lambda: not spool.open and not bench.exchanges.spools.bytes)

    def test_files_that_are_counted_wrongly(self) -> None:
        """Their bytes are those that they have."""
        scene = SlowScene(bench=Audited(slow_settings()))
        scene.slow()
        bench, spools = scene.bench, scene.bench.exchanges.spools
        assert isinstance(bench, Audited)
        there = spools.bytes
        spools.resized(-1)
        self.repaired(bench, "spool", lambda: spools.bytes == there > 0)
        scene.wire.lose()

    def test_an_exchange_that_nobody_runs(self) -> None:
        """It is over, and counted as broken."""
        bench = Audited()
        client, _ = bench.client()
        client.dataReceived(post())
        bench.upstream()[0].dataReceived(answer())
        lost = bench.log.seen[0]
        bench.exchanges.book.begun(lost)
        self.repaired(bench, "exchange", lambda: not bench.exchanges.book.current)
        self.assertEqual(lost.error, "gateway_internal")

    def test_an_exchange_that_waits_for_nothing(self) -> None:
        """No replica is asked, and nobody will wake it: it is refused."""
        bench = self.asked()
        attempt = self.client.work._attempt  # type: ignore[union-attr]
        self.client.work._attempt = None  # type: ignore[union-attr]
        attempt.lease.release()
        self.repaired(bench, "stuck", lambda: not bench.exchanges.book.current)
        self.assertIn(b" 503 ", self.wire.take())

    def test_an_exchange_that_should_be_over(self) -> None:
        """Its deadline was missed."""
        bench = self.asked(timeouts=Timeouts(total=1.0))
        bench.wheel.now += 2.0 + LATE_S
        self.repaired(bench, "stuck", lambda: not bench.exchanges.book.current)
        self.assertIn(b" 503 ", self.wire.take())

    def test_a_client_that_is_owed_an_answer(self) -> None:
        """Its connection is closed: nothing can be said on it any more that would be right."""
        bench = Audited()
        client, wire = bench.client()
        client.dataReceived(post())
        bench.upstream()[0].dataReceived(answer())
        client._reply = object()  # type: ignore[assignment]
        self.assertEqual(bench.kinds(), Counter(stuck=1))
        self.assertEqual(bench.repair(), {"stuck": 1})
        self.assertTrue(wire.aborted)

    def test_deadlines_that_nobody_minds(self) -> None:
        """A client's, the pool's, the waiting room's: the wheel has them again."""
        bench = self.asked()
        for slot in bench.wheel._slots:
            slot.clear()
        self.assertEqual(bench.kinds(), Counter(deadline=3))
        self.repaired(bench, "deadline", lambda: self.client in bench.wheel.watched())

    def test_a_connection_without_a_request(self) -> None:
        """It is closed."""
        bench = self.asked()
        up, wire = bench.upstream()
        up.dataReceived(answer())
        bench.pool._idle.clear()
        self.repaired(bench, "connection", lambda: wire.aborted)

    def test_places_in_the_waiting_room(self) -> None:
        """Kept for nobody, or counted wrongly."""
        bench = Audited(Settings(queue=QueueSettings(wait_busy=10.0)), replicas=(replica("gpu0", max_in_flight=1),))
        for _ in range(2):
            bench.client()[0].dataReceived(post())
        room = bench.exchanges.waiting.room
        owner = next(iter(room)).owner
        room.enter(Ticket(owner, "m", priority=Priority.NORMAL, tenant="t", size=9, deadline=99.0))
        self.repaired(bench, "waiting", lambda: room.count == 1)
        room.count += 1
        self.repaired(bench, "waiting", lambda: room.count == 1)

    def test_clients_by_address(self) -> None:
        """A bound for each address depends on it."""
        bench = self.asked()
        bench.exchanges.by_address[self.client.client] += 1
        self.repaired(bench, "address", lambda: bench.exchanges.by_address == {self.client.client: 1})
