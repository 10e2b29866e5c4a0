"""One try at one replica: a lease, a connection, an assembly, and what becomes of its response.

An attempt ends once, through its L{ResponseAssembly}, whatever ends it: a refused connect and a deadline go the
same way as a last chunk.  The assembly then tells C{ended}, which settles the attempt and tells its owner.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from zope.interface import classImplements

from aibrix_twisted.domain.assembly import Cause, Ending, ResponseAssembly
from aibrix_twisted.domain.attempt import AttemptRecord
from aibrix_twisted.domain.engine_load import amended
from aibrix_twisted.domain.replica import Replica
from aibrix_twisted.domain.settings import Timeouts
from aibrix_twisted.interfaces import IBodyConsumer, Payload
from aibrix_twisted.policy.retry import DECLINED, Progress
from aibrix_twisted.service.exchange.answers import Answer
from aibrix_twisted.service.exchange.given import Given
from aibrix_twisted.service.upstream.connect import Connecting
from aibrix_twisted.service.upstream.pool import Pool
from aibrix_twisted.service.upstream.protocol import UpstreamConnection
from aibrix_twisted.service.wheel import Wheel
from aibrix_twisted.wire.continuation import Continuation
from aibrix_twisted.wire.engine_metrics import read_orca
from aibrix_twisted.wire.head import ResponseHead
from aibrix_twisted.wire.kept import Kept
from aibrix_twisted.wire.retry_after import retry_after

if TYPE_CHECKING:
    from aibrix_twisted.service.exchange.run import Run

#: What an engine says with an answer counts for so long.
ORCA_FRESH_S: Final = 3.0


class Attempt:
    """The consumer of its own response.

    @ivar record: what is known of it, for the meters and for people.
    @ivar edited: names of the edits made to the request's body.
    @ivar status: the engine's; 0 while no head came.
    @ivar retry_after_s: for so long the engine asked to be left alone.
    @ivar refused: nothing listens there.
    @ivar tls_failed: it was TLS that did not come about, or broke.
    @ivar kept: what has passed of its stream; C{None}: nothing is kept.
    @ivar plan: what it asks for, where it continues a stream.
    @ivar withhold_usage: usage was asked for by us; its event is not the client's.
    @ivar sent: when the request was on its way, by the wheel; C{None} before.
    @ivar heard: when something of the body last came, by the wheel; C{None} before.
    @ivar fault: what went wrong, for people.
    @ivar defect: it was the gateway that broke it, by a defect.
    @ivar given: of a policy that wants to know what becomes of it.
    """

    __slots__ = (
        "_body",
        "_connecting",
        "_given_up",
        "_head_bytes",
        "_owner",
        "_pool",
        "_seconds",
        "_wheel",
        "answer",
        "assembly",
        "connection",
        "defect",
        "edited",
        "fault",
        "given",
        "health",
        "heard",
        "kept",
        "lease",
        "plan",
        "record",
        "refused",
        "replica",
        "retry_after_s",
        "sent",
        "status",
        "tls_failed",
        "withhold_usage",
    )

    def __init__(
        self,
        owner: Run,
        replica: Replica,
        model: str,
        record: AttemptRecord,
        *,
        pool: Pool,
        wheel: Wheel,
        seconds: Callable[[], float],
        late: dict[str, int],
    ) -> None:
        """@param seconds: the clock of what is stamped."""
        self._owner = owner
        self._pool = pool
        self._wheel = wheel
        self._seconds = seconds
        self.record = record
        self._connecting: Connecting | None = None
        self._head_bytes = self._body = b""
        self.replica = replica
        self.health = replica.health
        self.health.began()
        self.lease = replica.load.lease(model)
        self.assembly = ResponseAssembly(self, late)  # type: ignore[arg-type]  # C{classImplements} is below
        self.answer: Answer | None = None
        self.connection: UpstreamConnection | None = None
        self.edited: tuple[str, ...] = ()
        self.withhold_usage = False
        self.kept: Kept | None = None
        self.plan: Continuation | None = None
        self.status = 0
        self.retry_after_s = 0.0
        self.refused = False
        self.tls_failed = False
        self.sent: float | None = None
        self.heard: float | None = None
        self.fault = ""
        self.defect = False
        self.given: Given | None = None
        self._given_up = False

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

    def _refused(self, why: str, *, refused: bool, tls: bool) -> None:
        self._connecting = None
        self.fault = why
        self.refused, self.tls_failed = refused, tls
        self.assembly.end(Cause.UPSTREAM_BROKE)

    def _send_on(self, connection: UpstreamConnection) -> None:
        self.connection = connection
        self.sent = self._wheel.now
        self.record.sent = self._seconds()
        self._owner.attempt_sent()
        head, body, self._head_bytes, self._body = self._head_bytes, self._body, b"", b""
        connection.send(self.assembly, head, body)

    # -- the response (IBodyConsumer) ------------------------------------------------------------------------

    def headReceived(self, head: ResponseHead) -> None:
        """Decide how the response is passed on."""
        self.record.head = self._seconds()
        self.status = self.record.status = head.status
        if head.status in DECLINED:
            self.retry_after_s = retry_after(head)
        orca = head.fields.get(b"endpoint-load-metrics")
        if orca is not None:
            self._read_load(orca)
        self.answer = self._owner.answer_for(self, head)

    def _read_load(self, said: bytes) -> None:
        """The engine says with its answer how busy it is."""
        figures, load, now = read_orca(said), self.replica.load, self._wheel.now
        if figures is not None:
            load.read(amended(load.fresh_engine(now), now, figures), ORCA_FRESH_S)

    def bodyReceived(self, data: bytes) -> None:
        """HOT: once a read."""
        self.heard = self.health.heard_at = self._wheel.now
        enough = self.answer.take(data)  # type: ignore[union-attr]
        if enough:
            self.give_up(enough)

    def payloadJudged(self) -> Payload:
        """What the response's decoder makes of it, asked for once."""
        return self.answer.judge()  # type: ignore[union-attr]

    def ended(self, ending: Ending) -> None:
        """It is over: say so to the owner, who settles."""
        self.record.ended = self._seconds()
        connection = self.connection
        if connection is not None:
            self.fault = self.fault or connection.fault
            self.defect = self.defect or connection.defect
            self.tls_failed = connection.tls_failed
        self._owner.attempt_over(self, ending)

    # -- from outside ----------------------------------------------------------------------------------------

    def end(self, cause: Cause) -> None:
        """End it from our side: the client left, or a deadline passed."""
        connecting, self._connecting = self._connecting, None
        if connecting is not None:
            connecting.cancel()
        self.assembly.end(cause)

    def give_up(self, why: str) -> None:
        """Nothing is to be hoped for from this replica."""
        self.fault = why
        self._given_up = True
        self.end(Cause.UPSTREAM_BROKE)

    def drop(self) -> None:
        """A defect of the gateway's own: what comes of it is nobody's."""
        self.defect = True
        self.end(Cause.UPSTREAM_BROKE)

    def overdue(self, now: float, timeouts: Timeouts, *, paused: bool, resumed: float) -> str:
        """Which deadline the replica has missed, for people; C{""}: none.

        @param paused: the client does not keep up; until then it is not the replica that is slow.
        @param resumed: when it last began to again.
        """
        if self.heard is not None:
            stalled = not paused and now - max(self.heard, resumed) > timeouts.stall
            return f"nothing came for {timeouts.stall:g} s" if stalled else ""
        if self.sent is not None and now - self.sent > timeouts.first_byte:
            return f"no answer began within {timeouts.first_byte:g} s"
        return ""

    @property
    def progress(self) -> Progress:
        """How far it got, for what may be done next."""
        if self.sent is None:
            return Progress.NOTHING_SENT
        if self.connection is not None and self.connection.answered:
            return Progress.RECEIVED
        return Progress.NOTHING_RECEIVED

    @property
    def reused(self) -> bool:
        """It was sent on a connection that had served before, and it was not we who ended it."""
        return self.connection is not None and self.connection.uses > 1 and not self._given_up


classImplements(Attempt, IBodyConsumer)
