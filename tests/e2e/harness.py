"""A gateway and its engines, in this process."""

from __future__ import annotations

import dataclasses
import socket
from collections import deque
from collections.abc import Callable
from typing import Any

from twisted.internet import reactor
from twisted.internet.task import deferLater

from aibrix_twisted.demo.engine import DemoEngine
from aibrix_twisted.demo.speed import INSTANT
from aibrix_twisted.domain.exchange import Exchange
from aibrix_twisted.domain.settings import (
    AccessLogSettings,
    CertificateSettings,
    Limits,
    ModelSettings,
    QueueSettings,
    ReplicaSettings,
    ReplicaTlsSettings,
    Retry,
    Settings,
    Timeouts,
    TlsSettings,
    TracingSettings,
)
from aibrix_twisted.service.audit.checks import findings
from aibrix_twisted.service.config.load import Source
from aibrix_twisted.service.gateway import Gateway
from tests.e2e.secure import SCHEME, SECURE, authority, issued, listens_with_tls

#: A test that waits for longer has failed, however busy this machine is.
PATIENCE_S = 40.0


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class World:
    """One gateway before some engines.

    @ivar over: the exchanges that are over, as the log sees them; the newest of them.
    """

    def __init__(
        self,
        *,
        engines: int = 1,
        profile: str = "plain",
        speed: Any = INSTANT,
        timeouts: Timeouts | None = None,
        retry: Retry | None = None,
        limits: Limits | None = None,
        models: tuple[ModelSettings, ...] = (),
        policy: str = "least-request",
        queue: QueueSettings | None = None,
        tracing: TracingSettings | None = None,
        demo: dict[str, Any] | None = None,
        serves: tuple[str, ...] = (),
        tls: TlsSettings | None = None,
        **replica: Any,
    ) -> None:
        """
        @param demo: what else the engines are made with.
        @param tls: that the gateway speaks with its clients.
        @param serves: models that the settings say of each; none: it is asked.
        @param replica: what else the settings say of each.
        """
        self.engines = [
            DemoEngine(reactor, name=f"e{number}", profile=profile, speed=speed, seed=number, **(demo or {}))
            for number in range(engines)
        ]
        if SECURE:
            replica = {"tls": ReplicaTlsSettings(ca=authority().path), **replica}
            tls = tls or TlsSettings(certificate=(CertificateSettings(cert=issued().cert, key=issued().key),))
            for engine in self.engines:
                listens_with_tls(engine)
        self.ports = [engine.listen() for engine in self.engines]
        self.port = free_port()
        settings = Settings(
            listen=(f"{'ssl' if tls else 'tcp'}:{self.port}:interface=127.0.0.1",),
            admin="none",
            tls=tls or TlsSettings(),
            policy=policy,
            replica=tuple(
                ReplicaSettings(
                    url=f"{SCHEME}://127.0.0.1:{port.getHost().port}", name=engine.name, models=serves, **replica
                )
                for engine, port in zip(self.engines, self.ports, strict=True)
            ),
            model=models,
            timeouts=timeouts or Timeouts(),
            retry=retry or Retry(),
            limits=dataclasses.replace(limits or Limits(), reactor_lag=0.0),  # engines and clients share the reactor
            queue=queue or QueueSettings(),
            tracing=tracing or TracingSettings(),
            access_log=AccessLogSettings(path=""),
        )
        self.gateway = Gateway(reactor, settings, Source(None, {}))
        self.over: deque[Exchange] = deque(maxlen=25_000)
        self.gateway.exchanges.book.past = self.over

    async def __aenter__(self) -> World:
        self.gateway.privilegedStartService()
        self.gateway.startService()
        await self.until(lambda: self.gateway.fleet.settled)
        return self

    async def __aexit__(self, *exc: object) -> None:
        found = [finding.what for finding in findings(self.gateway.exchanges)]
        await self.gateway.stopService()
        for engine in self.engines:
            await engine.stop()
        await self.until(lambda: not any(engine.open for engine in self.engines))
        assert found == [], "a repair is a failure"
        repairs = {kind: count for kind, count in self.gateway.metrics.repairs.items() if count}
        assert repairs == {}, "a repair is a failure"

    async def until(self, condition: Callable[[], object], seconds: float = PATIENCE_S) -> None:
        """Wait for it, in the reactor's own time."""
        deadline = reactor.seconds() + seconds
        while not condition():
            assert reactor.seconds() < deadline, "it did not come to be"
            await deferLater(reactor, 0.002)

    @property
    def in_flight(self) -> int:
        """Attempts that hold a lease."""
        return sum(replica.load.in_flight for replica in self.gateway.fleet.replicas)

    def settled(self) -> bool:
        """Nothing is under way any more."""
        return self.in_flight == 0 and self.gateway.exchanges.under_way == 0
