"""A client that notices everything: how an answer began, what came of it, and how it ended.

It reads by h11, so that nothing of the gateway judges the gateway.
"""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass, field
from typing import Any

import h11
import orjson
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.protocol import ClientFactory, Protocol, connectionDone
from twisted.python.failure import Failure

from tests.e2e.secure import SECURE, believing, client_factory

#: A test that waits for longer has failed.
PATIENCE_S = 60


@dataclass
class Answer:
    """One answer, or what came of it.

    @ivar lines: the header lines, repeated ones too.
    @ivar whole: its framing ended as it should.
    @ivar reset: the connection ended with an error.
    """

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    lines: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""
    whole: bool = False
    reset: bool = False
    interim: list[int] = field(default_factory=list)

    @property
    def json(self) -> Any:
        """The body's document."""
        return orjson.loads(self.body)

    @property
    def events(self) -> list[bytes]:
        """Data of the events in the body."""
        return [line[6:] for line in self.body.split(b"\n") if line.startswith(b"data: ")]

    @property
    def code(self) -> str:
        """The error's code, in a body or in a last event."""
        document = orjson.loads(self.events[-1] if self.events else self.body)
        return str(document["error"]["code"])


class Client(Protocol):
    """One connection.  C{request} may be called again once an answer is whole."""

    transport: Any

    def __init__(self) -> None:
        self._h11 = h11.Connection(h11.CLIENT, max_incomplete_event_size=1 << 20)
        self._answer = Answer()
        self._waiting: Deferred[Answer] | None = None
        self._head_waiting: Deferred[Answer] | None = None
        self.made: Deferred[Client] = Deferred()
        self.closed: Deferred[None] = Deferred()
        self.lost = False
        self.got = 0

    def connectionMade(self) -> None:
        self.transport.setTcpNoDelay(True)
        self.made.callback(self)

    def request(
        self, path: str, document: Any = None, *, method: str = "POST", headers: dict[str, str] | None = None,
        body: bytes | None = None,
    ) -> Deferred[Answer]:  # fmt: skip
        """Send a request; fires with its answer, whole or cut."""
        if self._h11.our_state is h11.DONE:
            self._h11.start_next_cycle()
        if body is None:
            body = b"" if document is None else orjson.dumps(document)
        lines = [("host", "gateway"), ("content-length", str(len(body)))]
        if document is not None and "content-type" not in (headers or {}):
            lines.append(("content-type", "application/json"))
        lines += list((headers or {}).items())
        data = self._h11.send(h11.Request(method=method, target=path, headers=lines)) or b""
        data += (self._h11.send(h11.Data(data=body)) or b"") + (self._h11.send(h11.EndOfMessage()) or b"")
        return self.send_raw(data)

    def send_raw(self, data: bytes) -> Deferred[Answer]:
        """Send these bytes, whatever they are."""
        self._answer = Answer()
        self._waiting = waiting = Deferred[Answer]().addTimeout(PATIENCE_S, reactor)
        self.transport.write(data)
        return waiting

    def head(self) -> Deferred[Answer]:
        """Fires when the answer's first bytes of body are there."""
        self._head_waiting = waiting = Deferred[Answer]().addTimeout(PATIENCE_S, reactor)
        return waiting

    def dataReceived(self, data: bytes) -> None:
        self.got += len(data)
        self._h11.receive_data(data)
        self._read()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.lost = True
        self._answer.reset = reason.check(ConnectionDone) is None
        try:
            self._h11.receive_data(b"")
            self._read()
        except h11.RemoteProtocolError:
            pass
        self._fire()
        self.closed.callback(None)

    def reset(self) -> None:
        """Leave by RST."""
        handle = self.transport.socket
        handle.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abortConnection()

    def _read(self) -> None:
        while True:
            event = self._h11.next_event()
            if event in (h11.NEED_DATA, h11.PAUSED):
                return
            if isinstance(event, h11.InformationalResponse):
                self._answer.interim.append(event.status_code)
            elif isinstance(event, h11.Response):
                self._answer.status = event.status_code
                self._answer.lines = [(name.decode(), value.decode("latin-1")) for name, value in event.headers]
                self._answer.headers = dict(self._answer.lines)
            elif isinstance(event, h11.Data):
                self._answer.body += event.data
                waiting, self._head_waiting = self._head_waiting, None
                if waiting is not None:
                    waiting.callback(self._answer)
            elif isinstance(event, h11.EndOfMessage):
                self._answer.whole = True
                self._fire()
                return
            else:
                return

    def _fire(self) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting.callback(self._answer)


class _Factory(ClientFactory):
    noisy = False

    def __init__(self, client: Client) -> None:
        self.client = client

    def buildProtocol(self, addr: Any) -> Client:
        return self.client

    def clientConnectionFailed(self, connector: Any, reason: Failure) -> None:
        self.client.made.errback(reason)


def connect(port: int, tls: Any = None) -> Deferred[Client]:
    """A new connection to the gateway.

    @param tls: makes its TLS; by default there is none, where there is none in the whole run.
    """
    client = Client()
    factory: Any = _Factory(client)
    if tls is None and SECURE:
        tls = believing()
    reactor.connectTCP("127.0.0.1", port, factory if tls is None else client_factory(factory, tls))
    return client.made


async def ask(port: int, path: str, document: Any = None, *, tls: Any = None, **more: Any) -> Answer:
    """One request on a connection of its own."""
    client = await connect(port, tls)
    answer = await client.request(path, document, **more)
    if not client.lost:
        client.transport.abortConnection()
        await client.closed
    return answer


def chat(*, stream: bool = False, tokens: int = 4, **more: Any) -> dict[str, Any]:
    """A request for chat."""
    message = {"role": "user", "content": "tell me of lanterns"}
    return {"model": "demo-model", "messages": [message], "max_tokens": tokens, "stream": stream, **more}
