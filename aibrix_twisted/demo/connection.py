"""A client's connection to a simulated engine."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from twisted.internet.interfaces import IDelayedCall
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure

from aibrix_twisted.demo.asked import Refused
from aibrix_twisted.demo.faults import Fault, UnknownFault, parse_fault
from aibrix_twisted.demo.outlet import Outlet
from aibrix_twisted.wire.head import BadMessage, RequestHead
from aibrix_twisted.wire.request import RequestParser

if TYPE_CHECKING:
    from aibrix_twisted.demo.engine import DemoEngine


#: Where faults are armed.
FAULTS = b"/demo/faults"


class DemoConnection(Protocol):
    """Serves one request after the other.

    @ivar gone: called when the connection is lost beneath an answer.
    """

    transport: Any

    def __init__(self, engine: DemoEngine) -> None:
        self._engine = engine
        self._parser = RequestParser(
            self, max_head_bytes=65536, max_line_bytes=65536, max_headers=1000, max_bytes=1 << 30
        )
        self._head: RequestHead | None = None
        self._body: list[bytes] = []
        self._outlet: Outlet | None = None
        self._idle: IDelayedCall | None = None
        self._served = 0
        self.gone: Callable[[], None] | None = None

    def connectionMade(self) -> None:
        """A client."""
        self._engine.stats.connections += 1
        self._engine.open.add(self)
        if hasattr(self.transport, "setTcpNoDelay"):
            self.transport.setTcpNoDelay(True)
        self._rest()

    def dataReceived(self, data: bytes) -> None:
        """Bytes of requests."""
        self._wake()
        try:
            self._parser.feed(data)
        except BadMessage as bad:
            self._engine.stats.malformed += 1
            self.transport.write(b"HTTP/1.1 %d Bad\r\ncontent-length: 0\r\nconnection: close\r\n\r\n" % bad.status)
            self.transport.loseConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The client left: whatever was computed for it is stopped."""
        self._wake()
        self._parser.close()
        if self._outlet is not None:
            self._outlet.lost()
        gone, self.gone = self.gone, None
        if gone is not None:
            gone()
        self._engine.left(self)

    @property
    def idle(self) -> bool:
        """It waits for a request."""
        return self._outlet is None

    def request_head(self, head: RequestHead) -> None:
        """From the parser."""
        self._head = head
        if head.expects_continue:
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def request_body(self, data: bytes) -> None:
        """From the parser."""
        self._body.append(data)

    def request_complete(self) -> None:
        """From the parser: answer."""
        head, body = self._head, b"".join(self._body)
        self._body.clear()
        assert head is not None
        engine = self._engine
        asked_fault = head.fields.get(b"x-demo-fault")
        fault: Fault = {}
        refused: Refused | None = None
        try:
            if asked_fault is not None:
                fault = parse_fault(asked_fault.decode("latin-1"))
            elif head.method == "POST" and head.path != FAULTS:  # probes, and what arms them, are spared
                fault = engine.faults.next()
        except UnknownFault as error:
            refused = Refused(400, str(error))
        outlet = Outlet(self.transport, engine.clock, engine.lot, fault, self._answered)
        self._outlet = outlet
        self._served += 1
        outlet.keep = self._served != engine.profile.keep_alive_max and not engine.ending
        if engine.echo_request_id and b"x-request-id" in head.fields:
            outlet.more.append((b"x-request-id", head.fields[b"x-request-id"]))
        if refused is not None:
            engine.refuse(outlet, refused)
        else:
            engine.answer(self, outlet, fault, head, body)

    def _answered(self, keep: bool) -> None:
        self._outlet = self.gone = None
        if self._engine.ending or (self._head is not None and not self._head.keep_alive):
            self.transport.loseConnection()
            return
        self._rest()
        self._engine.clock.callLater(0, self._parser.next)

    def _rest(self) -> None:
        limit = self._engine.profile.idle_limit_s
        if limit:
            self._idle = self._engine.clock.callLater(limit, self._tired)

    def _tired(self) -> None:
        self._idle = None
        self.transport.loseConnection()

    def _wake(self) -> None:
        idle, self._idle = self._idle, None
        if idle is not None:
            idle.cancel()
