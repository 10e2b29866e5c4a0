"""What tests put in the place of the network."""

from __future__ import annotations

import dataclasses
import random
from typing import Any

from twisted.internet.error import ConnectionDone, ConnectionLost, ConnectionRefusedError, TimeoutError
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from aibrix_twisted.domain.exchange import Exchange
from aibrix_twisted.domain.fleet import Fleet
from aibrix_twisted.domain.health import Health
from aibrix_twisted.domain.replica import Replica
from aibrix_twisted.domain.settings import BreakerSettings, HealthSettings, ModelSettings, Settings
from aibrix_twisted.service.discovery.catalogue import Catalogue
from aibrix_twisted.service.downstream.protocol import DownstreamConnection
from aibrix_twisted.service.exchange.exchanges import Exchanges
from aibrix_twisted.service.telemetry.metrics import Metrics
from aibrix_twisted.service.upstream.pool import Pool
from aibrix_twisted.service.upstream.protocol import UpstreamConnection
from aibrix_twisted.service.wheel import Wheel


class Wire:
    """A transport in memory.  It may do something beneath each write.

    @ivar written: all that was.
    @ivar closing: C{loseConnection} was called; C{aborted}: C{abortConnection} was.
    """

    def __init__(self, protocol: Any = None) -> None:
        self.protocol = protocol
        self.written = b""
        self.closing = self.aborted = self.half_closed = self.paused = False
        self.producer: Any = None
        self.beneath_write: Any = None
        self.host = "192.0.2.7"

    def write(self, data: bytes) -> None:
        assert data, "an empty write"
        self.written += data
        action, self.beneath_write = self.beneath_write, None
        if action is not None:
            action()

    def take(self) -> bytes:
        """What was written since the last time."""
        written, self.written = self.written, b""
        return written

    def setTcpNoDelay(self, enabled: bool) -> None:
        pass

    def getPeer(self) -> Wire:
        return self

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        self.producer = producer

    def unregisterProducer(self) -> None:
        self.producer = None

    def pauseProducing(self) -> None:
        self.paused = True

    def resumeProducing(self) -> None:
        self.paused = False

    def loseConnection(self) -> None:
        self.closing = True

    def loseWriteConnection(self) -> None:
        self.half_closed = True

    def abortConnection(self) -> None:
        if not self.aborted:
            self.aborted = True
            protocol, self.protocol = self.protocol, None
            if protocol is not None:
                protocol.connectionLost(Failure(ConnectionLost()))

    def lose(self, *, clean: bool = True) -> None:
        """The other side closed, or broke."""
        protocol, self.protocol = self.protocol, None
        if protocol is not None:
            protocol.connectionLost(Failure(ConnectionDone() if clean else ConnectionLost()))


class NoLog:
    """An access log that remembers."""

    def __init__(self) -> None:
        self.seen: list[Exchange] = []

    def append(self, exchange: Exchange) -> None:
        self.seen.append(exchange)


class Connector:
    """In the place of the reactor's C{connectTCP}: each connect waits until the test decides."""

    def __init__(self, factory: Any) -> None:
        self.factory = factory
        self.stopped = False
        self._made: tuple[UpstreamConnection, Wire] | None = None

    def stopConnecting(self) -> None:
        self.stopped = True

    def made(self) -> tuple[UpstreamConnection, Wire]:
        """It connected, now or before."""
        if self._made is None:
            connection = self.factory.buildProtocol(None)
            self._made = connection, wire = connection, Wire(connection)
            connection.makeConnection(wire)
        return self._made

    def refused(self, *, late: bool = False) -> None:
        """It did not; perhaps for want of any answer."""
        error = TimeoutError("timed out") if late else ConnectionRefusedError("refused")
        self.factory.clientConnectionFailed(self, Failure(error))


class MemoryReactor(Clock):
    """A clock that also remembers connects."""

    def __init__(self) -> None:
        super().__init__()
        self.connects: list[Connector] = []

    def connectTCP(self, host: str, port: int, factory: Any, timeout: float = 0) -> Connector:
        connector = Connector(factory)
        self.connects.append(connector)
        return connector


class Bench:
    """A gateway without a network: C{client()} to speak to it, C{upstream()} to answer for the engine."""

    def __init__(self, settings: Settings | None = None, replicas: tuple[Replica, ...] = (), **aliases: str) -> None:
        self.reactor = MemoryReactor()
        self.wheel = Wheel(self.reactor)
        self.wheel.start()
        self.metrics = Metrics()
        self.pool = Pool(self.reactor, self.wheel)
        self.log = NoLog()
        self.exchanges = Exchanges(
            self.reactor,
            settings or Settings(),
            wheel=self.wheel,
            pool=self.pool,
            metrics=self.metrics,
            access_log=self.made_log(),
            rng=random.Random(1),
            boot_id="boot",
            max_connections=1000,
        )
        self.replicas = replicas or (replica("gpu0"),)
        self.publish(**aliases)

    def made_log(self) -> Any:
        """Whom its exchanges tell that they are over."""
        return self.log

    def publish(self, **aliases: str) -> None:
        """Let the fleet be what the replicas are now."""
        models = {model.name: model for model in self.exchanges.settings.model}
        for alias, name in aliases.items():
            model = models.get(name, ModelSettings(name=name))
            models[name] = dataclasses.replace(model, aliases=(*model.aliases, alias))
        fleet = Fleet.of(self.replicas, models.values())
        self.exchanges.fleet_is(fleet, Catalogue(fleet, {}))

    def client(self, wire: Wire | None = None) -> tuple[DownstreamConnection, Wire]:
        """A client that has connected."""
        connection = DownstreamConnection(self.exchanges)
        wire = wire or Wire()
        wire.protocol = connection
        connection.makeConnection(wire)  # type: ignore[arg-type]
        return connection, wire

    def upstream(self) -> tuple[UpstreamConnection, Wire]:
        """The newest connect succeeds."""
        return self.reactor.connects[-1].made()

    def advance(self, seconds: float) -> None:
        """Let time pass, the last second of it tick by tick, so that the wheel turns."""
        if seconds > 60:
            self.reactor.advance(seconds - 1)
            seconds = 1.0
        self.reactor.pump([0.1] * round(seconds * 10))


def replica(name: str, models: tuple[str, ...] | None = ("m",), **more: Any) -> Replica:
    """A replica at an address; nobody judges its health unless the test says so."""
    more.setdefault("health", Health(HealthSettings(probe_interval=0.0), BreakerSettings(enabled=False)))
    return Replica(name=name, url=f"http://{name}:1", host="192.0.2.1", port=1, authority=b"x:1", models=models, **more)


def post(body: bytes = b'{"model":"m"}', path: bytes = b"/v1/chat/completions", *lines: bytes) -> bytes:
    """A request."""
    head = b"".join(line + b"\r\n" for line in lines)
    return b"POST %b HTTP/1.1\r\nhost: gw\r\ncontent-length: %d\r\n%b\r\n%b" % (path, len(body), head, body)


def answer(body: bytes = b'{"id":"c"}', *lines: bytes, status: bytes = b"200 OK") -> bytes:
    """An engine's whole answer."""
    head = b"".join(line + b"\r\n" for line in (b"content-type: application/json", *lines))
    return b"HTTP/1.1 %b\r\n%bcontent-length: %d\r\n\r\n%b" % (status, head, len(body), body)


STREAM_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


def chunk(data: bytes) -> bytes:
    """One chunk."""
    return b"%x\r\n%b\r\n" % (len(data), data)
