"""One try at one replica: a lease, a connection, an assembly, and what becomes of its response.

An attempt ends once, through its L{ResponseAssembly}, whatever ends it: a refused connect and a deadline go the
same way as a last chunk.  The assembly then tells C{ended}, which settles the attempt and tells its owner.
"""

from __future__ import annotations

from typing import Protocol

from zope.interface import implementer

from aibrix_twisted.domain.assembly import Cause, Ending, ResponseAssembly
from aibrix_twisted.domain.replica import Replica
from aibrix_twisted.interfaces import IBodyConsumer, Payload
from aibrix_twisted.policy.retry import Progress
from aibrix_twisted.service.exchange.answers import Answer
from aibrix_twisted.service.upstream.connect import Connecting
from aibrix_twisted.service.upstream.pool import Pool
from aibrix_twisted.service.upstream.protocol import UpstreamConnection
from aibrix_twisted.service.wheel import Wheel
from aibrix_twisted.wire.head import ResponseHead


class Owner(Protocol):
    """Whose attempt it is."""

    def answer_for(self, attempt: Attempt, head: ResponseHead) -> Answer:
        """A head came: how is the response passed on?"""
        ...

    def attempt_sent(self) -> None:
        """Its request is on its way."""
        ...

    def attempt_over(self, attempt: Attempt, ending: Ending) -> None:
        """It ended, and is settled."""
        ...


@implementer(IBodyConsumer)
class Attempt:
    """The consumer of its own response.

    @ivar withhold_usage: usage was asked for by us; its event is not the client's.
    @ivar sent: when the request was on its way, by the wheel; C{None} before.
    @ivar heard: when something of the body last came, by the wheel; C{None} before.
    @ivar fault: what went wrong, for people.
    """

    __slots__ = (
        "_body",
        "_connecting",
        "_head_bytes",
        "_owner",
        "_pool",
        "_wheel",
        "answer",
        "assembly",
        "connection",
        "fault",
        "heard",
        "lease",
        "replica",
        "sent",
        "withhold_usage",
    )

    def __init__(
        self, owner: Owner, replica: Replica, model: str, pool: Pool, wheel: Wheel, late: dict[str, int]
    ) -> None:
        self._owner = owner
        self._pool = pool
        self._wheel = wheel
        self._connecting: Connecting | None = None
        self._head_bytes = self._body = b""
        self.replica = replica
        self.lease = replica.load.lease(model)
        self.assembly = ResponseAssembly(self, late)
        self.answer: Answer | None = None
        self.connection: UpstreamConnection | None = None
        self.withhold_usage = False
        self.sent: float | None = None
        self.heard: float | None = None
        self.fault = ""

    # -- sending ---------------------------------------------------------------------------------------------

    def send(self, head: bytes, body: bytes, connect_timeout_s: float, *, reuse: bool) -> None:
        """Send the request.

        @param reuse: an idle connection will do; if not, a new one is made.
        """
        self._head_bytes, self._body = head, body
        connection = self._pool.take(self.replica) if reuse else None
        if connection is not None:
            self._send_on(connection)
        else:
            self._connecting = self._pool.connect(self.replica, connect_timeout_s, self._connected, self._refused)
            self._connecting.start()

    def _connected(self, connection: UpstreamConnection) -> None:
        self._connecting = None
        self._send_on(connection)

    def _refused(self, why: str) -> None:
        self._connecting = None
        self.fault = why
        self.assembly.end(Cause.UPSTREAM_BROKE)

    def _send_on(self, connection: UpstreamConnection) -> None:
        self.connection = connection
        self.sent = self._wheel.now
        self._owner.attempt_sent()
        head, body, self._head_bytes, self._body = self._head_bytes, self._body, b"", b""
        connection.send(self.assembly, head, body)

    # -- the response (IBodyConsumer) ------------------------------------------------------------------------

    def headReceived(self, head: ResponseHead) -> None:
        """Decide how the response is passed on."""
        self.answer = self._owner.answer_for(self, head)

    def bodyReceived(self, data: bytes) -> None:
        """HOT: once a read."""
        self.heard = self._wheel.now
        self.answer.take(data)  # type: ignore[union-attr]

    def payloadJudged(self) -> Payload:
        """What the response's decoder makes of it, asked for once."""
        return self.answer.judge()  # type: ignore[union-attr]

    def ended(self, ending: Ending) -> None:
        """It is over: say so to the owner, who settles."""
        connection = self.connection
        if connection is not None and connection.fault and not self.fault:
            self.fault = connection.fault
        self._owner.attempt_over(self, ending)

    # -- from outside ----------------------------------------------------------------------------------------

    def end(self, cause: Cause) -> None:
        """End it from our side: the client left, or a deadline passed."""
        connecting, self._connecting = self._connecting, None
        if connecting is not None:
            connecting.cancel()
        self.assembly.end(cause)

    @property
    def progress(self) -> Progress:
        """How far it got, for what may be done next."""
        if self.sent is None:
            return Progress.NOTHING_SENT
        if self.connection is not None and self.connection.answered:
            return Progress.RECEIVED
        return Progress.NOTHING_RECEIVED

    @property
    def died_unheard_on_reuse(self) -> bool:
        """Sent on a connection that had served before, which died before any byte of an answer came.

        An engine that closes an idle connection just then has not taken the request (RFC 9112 §9.3.1).
        """
        return self.progress is Progress.NOTHING_RECEIVED and self.connection is not None and self.connection.uses > 1
