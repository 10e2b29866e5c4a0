"""The daemon without a network: what it does when it is told to reload, and in which order it drains."""

from __future__ import annotations

import dataclasses
import shutil
import tempfile
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.testing import MemoryReactorClock
from twisted.logger import globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.domain.settings import (
    AccessLogSettings,
    AdminAuthSettings,
    MetricsSettings,
    ReplicaSettings,
    Settings,
    Timeouts,
)
from aibrix_twisted.service.admin.documents import Denied
from aibrix_twisted.service.config.load import ConfigError
from aibrix_twisted.service.exchange.exchanges import DRAINING_IDLE_S
from aibrix_twisted.service.gateway import Gateway
from aibrix_twisted.service.process.drain import FAREWELL_S, UNHURRIED_IDLE_S
from tests.fakes import Wire, answer, post

DRAIN_S = 5.0
SETTINGS = Settings(
    listen=("tcp:8080",),
    admin="none",
    access_log=AccessLogSettings(path=""),
    replica=(ReplicaSettings(name="a", url="http://192.0.2.1:1", models=("m",)),),
    timeouts=Timeouts(drain=DRAIN_S),
)


class Port:
    """A listening port that closes when the test says."""

    def __init__(self, reactor: Reactor) -> None:
        self._reactor = reactor

    def stopListening(self) -> Deferred[None]:
        self._reactor.closing.append(Deferred())
        return self._reactor.closing[-1]


class Reactor(MemoryReactorClock):
    """Counts what ends it."""

    def __init__(self) -> None:
        super().__init__()
        self.stops = 0
        self.closing: list[Deferred[None]] = []

    def listenTCP(self, port: int, factory: Any, backlog: int = 50, interface: str = "") -> Any:
        super().listenTCP(port, factory, backlog, interface)
        return Port(self)

    def stop(self) -> None:
        self.stops += 1


class Given:
    """In a file's place."""

    def __init__(self) -> None:
        self.next: Settings | ConfigError = SETTINGS

    def load(self) -> Settings:
        if isinstance(self.next, ConfigError):
            raise self.next
        return self.next


class GatewayTestCase(SynchronousTestCase):
    """A gateway that listens, and asks no replica for its models."""

    def setUp(self) -> None:
        self.reactor = Reactor()
        self.source: Any = Given()
        self.gateway = Gateway(self.reactor, SETTINGS, self.source)
        self.gateway.privilegedStartService()
        self.gateway.wheel.start()

    def client(self, data: bytes = b"") -> Wire:
        """A client that has connected, and has sent this."""
        connection = self.reactor.tcpServers[0][1].buildProtocol(None)
        wire = Wire(connection)
        connection.makeConnection(wire)
        if data:
            connection.dataReceived(data)
        return wire

    def advance(self, seconds: float) -> None:
        """Look by look."""
        self.reactor.pump([0.05] * round(seconds / 0.05))


class ReloadTests(GatewayTestCase):
    """On SIGHUP."""

    def test_names_of_metrics(self) -> None:
        """OpenTelemetry's are turned on and off."""
        self.assertIsNone(self.gateway.metrics.genai)
        for wanted in (True, False):
            self.source.next = dataclasses.replace(SETTINGS, metrics=MetricsSettings(genai=wanted))
            self.gateway.reload()
            self.assertEqual(self.gateway.metrics.genai is not None, wanted)

    def test_good(self) -> None:
        """Taken for what comes, and counted."""
        other = ReplicaSettings(name="b", url="http://192.0.2.2:1", models=("n",))
        self.source.next = Settings(admin="none", access_log=AccessLogSettings(path=""), replica=(other,))
        self.gateway.reload()
        self.assertEqual(dict(self.gateway.metrics.reloads), {("taken",): 1})
        self.assertEqual([replica.name for replica in self.gateway.fleet.replicas], ["b"])
        self.assertIs(self.gateway.exchanges.settings, self.source.next)

    def test_bad(self) -> None:
        """Nothing changes, and it is counted."""
        fleet = self.gateway.fleet
        self.source.next = ConfigError(["x: found 1, expected 2", "y: the same"])
        self.gateway.reload()
        self.assertEqual(dict(self.gateway.metrics.reloads), {("refused",): 1})
        self.assertIs(self.gateway.fleet, fleet)
        self.assertIs(self.gateway.settings, SETTINGS)

    def test_built_in_replicas_stay(self) -> None:
        """No file names them, so no file takes them away."""
        extra = ReplicaSettings(name="demo", url="http://192.0.2.9:1")
        gateway = Gateway(self.reactor, SETTINGS, self.source, (extra,))
        gateway.reload()
        self.assertEqual([replica.name for replica in gateway.fleet.replicas], ["a", "demo"])


class ReloadForApiTests(GatewayTestCase):
    """On C{POST /api/reload}: the same as on SIGHUP, told to whoever asked."""

    def test_good(self) -> None:
        """How many replicas there are now."""
        other = tuple(ReplicaSettings(name=name, url="http://192.0.2.2:1", models=("n",)) for name in "bcd")
        self.source.next = dataclasses.replace(SETTINGS, replica=other)
        self.assertEqual(self.gateway.reload_for_api(), {"status": "reloaded", "replicas": 3})
        self.assertEqual(dict(self.gateway.metrics.reloads), {("taken",): 1})
        self.assertIs(self.gateway.exchanges.settings, self.source.next)

    def test_bad(self) -> None:
        """422 with every problem; nothing changes, and it is counted."""
        fleet = self.gateway.fleet
        self.source.next = ConfigError(["x: found 1, expected 2", "y: the same"])
        denied = self.assertRaises(Denied, self.gateway.reload_for_api)
        self.assertEqual((denied.status, denied.code), (422, "invalid_configuration"))
        self.assertEqual(denied.problems, ["x: found 1, expected 2", "y: the same"])
        self.assertEqual(dict(self.gateway.metrics.reloads), {("refused",): 1})
        self.assertIs(self.gateway.fleet, fleet)
        self.assertIs(self.gateway.settings, SETTINGS)

    def test_what_is_under_way(self) -> None:
        """Goes on, at a replica that is named no more, and is answered."""
        busy = self.client(post())
        self.source.next = dataclasses.replace(SETTINGS, replica=())
        self.assertEqual(self.gateway.reload_for_api()["replicas"], 0)
        self.assertEqual([one["state"] for one in self.gateway.desk.replicas()["replicas"]], ["leaving"])
        up = self.reactor.tcpClients[0][2].buildProtocol(None)
        up.makeConnection(Wire(up))
        up.dataReceived(answer())
        self.assertIn(b"HTTP/1.1 200", busy.take())
        self.assertEqual(self.gateway.desk.replicas()["replicas"], [])

    def test_what_was_added_and_done_by_hand(self) -> None:
        """Is no matter of the configuration's."""
        self.gateway.desk.add({"url": "http://192.0.2.3:1", "name": "added", "models": ["n"]})
        self.gateway.desk.drain("a", on=True)
        self.gateway.reload_for_api()
        self.assertEqual([(one.name, one.up) for one in self.gateway.fleet.replicas], [("a", False), ("added", True)])


class AdminTests(GatewayTestCase):
    """What the admin listener reads of the gateway."""

    def test_token(self) -> None:
        """The first line of its file; another one with a reload, and only then."""
        self.assertEqual(self.gateway.admin_token, "")
        folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, folder)
        path = Path(folder, "token")
        path.write_text("s3cret \nsecond line\n")
        self.source.next = dataclasses.replace(SETTINGS, admin_auth=AdminAuthSettings(token_file=str(path)))
        self.gateway.reload_for_api()
        self.assertEqual(self.gateway.admin_token, "s3cret")
        path.write_text("other")
        self.assertEqual(self.gateway.admin_token, "s3cret")
        self.gateway.reload_for_api()
        self.assertEqual(self.gateway.admin_token, "other")
        self.source.next = SETTINGS
        self.gateway.reload_for_api()
        self.assertEqual(self.gateway.admin_token, "")

    def test_its_listener(self) -> None:
        """Is beside the clients', where one is wanted, and stays while those are closed."""
        self.assertEqual([port for port, *_ in self.reactor.tcpServers], [8080])
        reactor = Reactor()
        gateway = Gateway(reactor, dataclasses.replace(SETTINGS, admin="tcp:9090:interface=127.0.0.1"), self.source)
        gateway.privilegedStartService()
        found = {port: interface for port, _, _, interface in reactor.tcpServers}
        self.assertEqual(found, {8080: "", 9090: "127.0.0.1"})
        gateway.drain_and_stop()
        self.assertEqual(len(reactor.closing), 1)

    def test_gauges(self) -> None:
        """As they are at this moment."""
        gateway = self.gateway
        self.assertEqual((gateway.clients, gateway.upstreams, gateway.waiting), (0, {"idle": 0, "busy": 0}, {}))
        busy = self.client(post())
        up = self.reactor.tcpClients[0][2].buildProtocol(None)
        up.makeConnection(Wire(up))
        self.assertEqual((gateway.clients, gateway.upstreams), (1, {"idle": 0, "busy": 1}))
        up.dataReceived(answer())
        self.assertEqual(gateway.upstreams, {"idle": 1, "busy": 0})
        busy.lose()
        self.assertEqual(gateway.clients, 0)
        self.assertIs(gateway.hedges, gateway.metrics.hedges)
        self.advance(1.0)
        self.assertEqual(gateway.now, self.reactor.seconds())
        self.assertEqual(set(gateway.buffers.values()), {0})
        self.assertEqual(gateway.buffer_limits, {})
        self.assertIsNone(gateway.turns)

    def test_the_last_sign_of_life(self) -> None:
        """By the wall clock, as long ago as the wheel's last turn is by the reactor's."""
        self.gateway._wall_clock = lambda: 1700000000.0
        self.advance(1.0)
        self.assertAlmostEqual(self.gateway.last_seen, 1700000000.0, delta=0.101)
        self.reactor.rightNow += 3.0
        self.assertAlmostEqual(self.gateway.last_seen, 1699999997.0, delta=0.101)

    def test_who_waits(self) -> None:
        """By model; a change by hand ends the waiting."""
        self.gateway.desk.drain("a", on=True)
        self.client(post())
        self.assertEqual(self.gateway.waiting, {"m": 1})
        self.assertEqual(self.reactor.tcpClients, [])
        self.gateway.desk.drain("a", on=False)
        self.advance(1.0)
        self.assertEqual((self.gateway.waiting.get("m", 0), len(self.reactor.tcpClients)), (0, 1))

    def test_readiness(self) -> None:
        """Follows what is done by hand."""
        self.assertTrue(self.gateway.readiness()[0])
        self.gateway.desk.drain("a", on=True)
        self.assertFalse(self.gateway.readiness()[0])


class LifeTests(SynchronousTestCase):
    """From C{startService} to C{stopService}."""

    def begun(self, settings: Settings) -> tuple[Reactor, Gateway]:
        """A gateway that runs."""
        reactor, source = Reactor(), Given()
        gateway = Gateway(reactor, settings, source)  # type: ignore[arg-type]
        gateway.privilegedStartService()
        gateway.startService()
        return reactor, gateway

    def test_it_asks_and_it_stops(self) -> None:
        """Replicas are asked for their models; once it has stopped, nothing is left that would ever be done."""
        reactor, gateway = self.begun(SETTINGS)
        reactor.pump([0.1] * 3)
        self.assertEqual([port for _, port, *_ in reactor.tcpClients], [1])
        connection = reactor.tcpServers[0][1].buildProtocol(None)
        wire = Wire(connection)
        connection.makeConnection(wire)
        stopped = gateway.stopService()
        self.assertTrue(wire.aborted)
        self.assertNoResult(stopped)
        reactor.closing[0].callback(None)
        self.successResultOf(stopped)
        reactor.pump([0.1] * 3)
        self.assertEqual(reactor.getDelayedCalls(), [])

    def test_the_wheel_turns_to_the_end(self) -> None:
        """What is waited for while stopping is no hanging of the reactor."""
        reactor, gateway = self.begun(SETTINGS)
        sent: Deferred[None] = Deferred()
        gateway._tracing.stop = lambda: sent  # type: ignore[assignment, method-assign, return-value]
        stopped = gateway.stopService()
        reactor.closing[0].callback(None)
        before = gateway.wheel.now
        reactor.pump([0.5] * 4)
        self.assertGreater(gateway.wheel.now, before)
        self.assertNoResult(stopped)
        sent.callback(None)
        self.successResultOf(stopped)
        self.assertEqual(reactor.getDelayedCalls(), [])

    def test_without_replicas(self) -> None:
        """It runs, and says so: perhaps somebody will register."""
        logged: list[str] = []

        def observe(event: Any) -> None:
            if event.get("log_format"):
                logged.append(event["log_format"].format(**event))

        globalLogPublisher.addObserver(observe)
        self.addCleanup(globalLogPublisher.removeObserver, observe)
        reactor, gateway = self.begun(dataclasses.replace(SETTINGS, replica=()))
        self.assertTrue(any(line.startswith("no replica is configured") for line in logged), logged)
        self.assertFalse(gateway.readiness()[0])
        gateway.desk.put("r", {"url": "http://192.0.2.3:1", "models": ["n"]}, 30.0)
        self.assertTrue(gateway.readiness()[0])
        stopped = gateway.stopService()
        reactor.closing[0].callback(None)
        self.successResultOf(stopped)


class DrainTests(GatewayTestCase):
    """On SIGTERM."""

    def test_is_not_ready_before_it_stops_listening(self) -> None:
        """A client that still comes while the port closes is served; idle ones are closed once it has."""
        idle = self.client()
        self.gateway.drain_and_stop()
        self.assertTrue(self.gateway.exchanges.draining)
        self.assertFalse(self.gateway.readiness()[0])
        self.assertEqual(len(self.reactor.closing), 1)
        late = self.client(post())
        self.reactor.closing[0].callback(None)
        self.assertFalse(idle.closing)
        self.advance(DRAINING_IDLE_S + 0.6)
        self.assertTrue(idle.closing)
        idle.lose()
        self.advance(0.1)
        self.assertEqual(self.reactor.stops, 0, "a client is there yet")
        late.lose()
        self.advance(0.1)
        self.assertEqual(self.reactor.stops, 1)

    def test_a_load_balancer_is_told_first(self) -> None:
        """With C{unready} the port closes later; its time is of the drain's."""
        self.source.next = dataclasses.replace(SETTINGS, timeouts=Timeouts(drain=DRAIN_S, unready=2.0))
        self.gateway.reload()
        busy = self.client(post())
        self.gateway.drain_and_stop()
        self.advance(1.9)
        self.assertEqual((self.gateway.readiness()[0], self.reactor.closing), (False, []))
        self.advance(0.2)
        self.reactor.closing[0].callback(None)
        self.advance(DRAIN_S - 2.3)
        self.assertEqual(busy.take(), b"")
        self.advance(0.4)
        self.assertIn(b"gateway_draining", busy.take())

    def test_after_a_hand_over(self) -> None:
        """What is under way has as long as it takes; asked to stop, as long as a drain, and asked again, none."""
        busy = self.client(post())
        idle = self.client(b"GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n")
        self.gateway.hand_over()
        self.reactor.closing[0].callback(None)
        self.advance(UNHURRIED_IDLE_S - 0.5)
        self.assertFalse(idle.closing)
        self.advance(1.5)
        self.assertTrue(idle.closing)
        idle.lose()
        self.advance(3 * DRAIN_S)
        self.assertEqual((busy.take(), self.reactor.stops), (b"", 0))
        self.gateway.drain_and_stop()
        self.advance(DRAIN_S - 0.1)
        self.assertEqual(busy.take(), b"")
        self.advance(0.2)
        self.assertIn(b"gateway_draining", busy.take())
        self.gateway.drain_and_stop()
        self.assertEqual(self.reactor.stops, 1)

    def test_what_is_under_way_is_finished(self) -> None:
        """Then its connection is closed, and then the reactor is stopped, without waiting for the time to be up."""
        busy = self.client(post())
        self.gateway.drain_and_stop()
        self.reactor.closing[0].callback(None)
        self.advance(DRAIN_S - 1)
        self.assertEqual((busy.closing, self.reactor.stops), (False, 0))
        up = self.reactor.tcpClients[0][2].buildProtocol(None)
        up.makeConnection(Wire(up))
        up.dataReceived(answer())
        self.assertIn(b"HTTP/1.1 200", busy.take())
        self.assertTrue(busy.closing)
        busy.lose()
        self.advance(0.1)
        self.assertEqual(self.reactor.stops, 1)

    def test_what_takes_too_long_is_cut(self) -> None:
        """With an error once the time is up and not before; the client has a moment to take it."""
        busy = self.client(post())
        self.gateway.drain_and_stop()
        self.reactor.closing[0].callback(None)
        self.advance(DRAIN_S - 0.1)
        self.assertEqual(busy.take(), b"")
        self.advance(0.2)
        self.assertIn(b"gateway_draining", busy.take())
        self.assertEqual(self.reactor.stops, 0)
        self.advance(FAREWELL_S + 0.1)
        self.assertEqual(self.reactor.stops, 1)
        self.assertEqual(self.gateway.fleet.replicas[0].load.in_flight, 0)

    def test_what_is_read_for_nobody_ends_too(self) -> None:
        """A replica that is to finish whatever it began has as long as everyone; then its exchange is over."""
        drained = dataclasses.replace(SETTINGS.replica[0], on_client_gone="drain")
        self.source.next = dataclasses.replace(SETTINGS, replica=(drained,))
        self.gateway.reload()
        client = self.client(post())
        up = self.reactor.tcpClients[0][2].buildProtocol(None)
        wire = Wire(up)
        up.makeConnection(wire)
        client.lose()
        self.gateway.drain_and_stop()
        self.reactor.closing[0].callback(None)
        self.advance(DRAIN_S - 0.1)
        self.assertEqual((self.gateway.exchanges.under_way, wire.aborted), (1, False))
        self.advance(0.2)
        self.assertEqual((self.gateway.exchanges.under_way, wire.aborted), (0, True))
        self.assertEqual(self.gateway.exchanges.orphans, set())
        ((_, _, status, outcome),) = self.gateway.metrics.requests
        self.assertEqual((status, outcome), (499, "abandoned"))

    def test_a_second_signal_stops_at_once(self) -> None:
        """And the third, or the drain's own end, does not stop what has stopped."""
        busy = self.client(post())
        self.gateway.drain_and_stop()
        self.gateway.drain_and_stop()
        self.assertEqual(self.reactor.stops, 1)
        self.gateway.drain_and_stop()
        self.reactor.closing[0].callback(None)
        busy.lose()
        self.advance(0.2)
        self.assertEqual(self.reactor.stops, 1)

    def test_a_drain_that_fails_stops_all_the_same(self) -> None:
        """A defect must not keep the process alive; it is logged."""

        def fail() -> None:
            raise ZeroDivisionError

        self.client()
        (connection,) = self.gateway.exchanges.live
        connection.drain = fail  # type: ignore[method-assign]
        self.gateway.drain_and_stop()
        self.reactor.closing[0].callback(None)
        self.assertEqual(self.reactor.stops, 1)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
