"""A gateway in memory whose CPU can be measured: its own code and nobody's sockets, in whichever build is imported.

Everything in it is as it is shipped, for the compiled rooms take nothing else: its access log is a real one, and what
is turned off is turned off by what can be set.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet.defer import Deferred, execute

from aibrix_twisted.domain.replica import Replica
from aibrix_twisted.domain.settings import AccessLogSettings, Settings
from aibrix_twisted.service.downstream.protocol import DownstreamConnection
from aibrix_twisted.service.telemetry.access_log import AccessLog
from tests.fakes import Bench, Wire, post, replica

#: What is served, by two replicas each.
MODELS = tuple(f"model-{number}" for number in range(8))

SILENT = AccessLogSettings(path="")


def replicas() -> tuple[Replica, ...]:
    """Two for each model, of one that says all that engines say."""
    return tuple(replica(f"gpu{at}{side}", (model,), engine="vllm") for at, model in enumerate(MODELS) for side in "ab")


class Sink(Wire):
    """A transport that keeps only what was last written, and says that it was it."""

    def __init__(self, protocol: Any, gateway: Gateway) -> None:
        super().__init__(protocol)
        self._gateway = gateway

    def write(self, data: bytes) -> None:
        self.written = data
        self._gateway.written = self


class Gateway(Bench):
    """With one client, and engines that are there when they are asked.

    @ivar wire: the client's.
    @ivar written: whichever was written to last.
    """

    written: Sink

    def __init__(self, settings: Settings, served: Sequence[Replica], log: AccessLogSettings = SILENT) -> None:
        """@param log: where exchanges are told to; by default, nowhere."""
        self._settings = log
        super().__init__(settings, tuple(served))
        self._answered = 0
        self.reactor.rightNow = self.wheel.now = time.monotonic()
        self.exchanges.seconds = time.monotonic
        self._connect()

    def _connect(self) -> None:
        self._client = DownstreamConnection(self.exchanges)
        self.wire = Sink(self._client, self)
        self._client.makeConnection(self.wire)

    def made_log(self) -> Any:
        """A real one."""
        self.access_log = AccessLog(self._settings, self.reactor, time.time, _at_once, self.metrics, random.Random(1))
        return self.access_log

    def ask(self, request: bytes) -> Callable[[bytes], None]:
        """The client asks.

        @return: takes what the engine says.
        """
        if self.wire.closing:  # it has had its thousand requests
            self.wire.lose()
            self._connect()
        self._client.dataReceived(request)
        if len(self.reactor.connects) > self._answered:
            self._answered += 1
            engine = self.reactor.connects[-1].factory.buildProtocol(None)
            engine.makeConnection(Sink(engine, self))
        engine = self.written.protocol
        if engine is self._client:
            raise RuntimeError(f"it was not asked of an engine: {self.wire.written[-200:]!r}")
        receive: Callable[[bytes], None] = engine.dataReceived
        return receive

    def settle(self) -> None:
        """Count and write down what is over, as is done ten times a second."""
        self.metrics.settle()
        self.access_log._flush()


def _at_once(write: Callable[[], int]) -> Deferred[int]:
    return execute(write)


def request(model: str, body: bytes = b"") -> bytes:
    """For this model.

    @param body: further members, each after a comma.
    """
    return post(b'{"model":"%b"%b,"messages":[{"role":"user","content":"hi"}]}' % (model.encode(), body))
