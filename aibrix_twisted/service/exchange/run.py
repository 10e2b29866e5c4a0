"""One exchange from first to last.

admit (what is asked?) -> choose (which replica?) -> dispatch (send it) -> relay (pass the answer on) -> settle.
An attempt that failed before the client got anything leads back to choose; everything else leads to C{_conclude},
which is reached once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aibrix_twisted.domain.assembly import Cause, Ending, Outcome
from aibrix_twisted.domain.exchange import Exchange
from aibrix_twisted.domain.replica import Replica
from aibrix_twisted.errors import ClientGone, Draining, GatewayError, InternalError, NoReplica, UpstreamTimeout
from aibrix_twisted.policy.retry import Progress, may_repeat
from aibrix_twisted.service.downstream.reply import Headers, Reply
from aibrix_twisted.service.exchange import admit, dispatch
from aibrix_twisted.service.exchange.answers import Answer, answer_for
from aibrix_twisted.service.exchange.attempt import Attempt
from aibrix_twisted.service.exchange.failures import error_event_of, error_of
from aibrix_twisted.service.exchange.respond import reply_headers, send_error
from aibrix_twisted.service.exchange.settle import settle_attempt, settle_exchange
from aibrix_twisted.service.wheel import Watched
from aibrix_twisted.wire.head import RequestHead, ResponseHead
from aibrix_twisted.wire.routes import Route

if TYPE_CHECKING:
    from aibrix_twisted.service.exchange.exchanges import Exchanges


class Run:
    """Drives one exchange.  The settings and the fleet are those of its beginning."""

    __slots__ = (
        "_asked",
        "_attempt",
        "_body",
        "_concluded",
        "_exchanges",
        "_fleet",
        "_gone",
        "_head",
        "_late",
        "_lines",
        "_paused",
        "_reply",
        "_resumed",
        "_route",
        "_settings",
        "_slot",
        "_total_s",
        "_tried",
        "exchange",
    )

    def __init__(self, exchanges: Exchanges, exchange: Exchange, route: Route, head: RequestHead, reply: Reply) -> None:
        self._exchanges = exchanges
        self._settings = exchanges.settings
        self._fleet = exchanges.fleet
        self.exchange = exchange
        self._route = route
        self._head = head
        self._reply = reply
        self._attempt: Attempt | None = None
        self._body = b""
        self._tried: list[Replica] = []
        self._total_s = self._settings.timeouts.total
        self._late: GatewayError | None = None
        self._paused = False
        self._resumed = 0.0
        self._gone = False
        self._concluded = False
        self._slot: set[Watched] | None = None

    # -- admit -----------------------------------------------------------------------------------------------

    def begin(self, body: bytes) -> None:
        """The request is there whole."""
        exchanges, exchange, head = self._exchanges, self.exchange, self._head
        exchange.stamps.read = exchanges.seconds()
        exchange.bytes_in = len(body)
        self._body = body
        try:
            self._asked = asked = admit.read(self._route, head, body)
            exchange.stream = asked.stream
            self._total_s = admit.total_timeout(head, self._total_s)
            exchange.model = model = admit.model_of(asked, self._fleet)
            exchange.policy = exchanges.chooser.policy_for(model, head.fields.get(b"routing-strategy"))
        except GatewayError as error:
            self.refuse(error)
            return
        exchanges.budget.count_request(exchanges.wheel.now)
        self._lines = dispatch.sent_on(head, exchange.client, exchange.id)
        self._choose(None)

    # -- choose, dispatch ------------------------------------------------------------------------------------

    def _choose(self, failed: GatewayError | None) -> None:
        """Try a replica that was not tried; where none is left, the answer is C{failed}."""
        exchanges, exchange = self._exchanges, self.exchange
        replica = exchanges.chooser.choose(exchange.policy, exchange.model, self._fleet, self._tried)
        if replica is None:
            self.refuse(failed or NoReplica(f"no replica of the model {exchange.model!r} is left to try"))
            return
        self._tried.append(replica)
        self._dispatch(replica, reuse=not self._asked.stateful)

    def _dispatch(self, replica: Replica, *, reuse: bool) -> None:
        exchanges, exchange = self._exchanges, self.exchange
        exchange.replica = replica.name
        body, exchange.edited, withhold = dispatch.edited_body(
            self._body, self._head.fields.get(b"content-type"), self._asked, exchange.model, replica
        )
        self._attempt = attempt = Attempt(
            self, replica, exchange.model, exchanges.pool, exchanges.wheel, exchanges.late
        )
        attempt.withhold_usage = withhold
        head = dispatch.request_head(replica, self._head, self._lines, len(body))
        attempt.send(head, body, self._settings.timeouts.connect, reuse=reuse)

    def attempt_sent(self) -> None:
        """The request is on its way; a refused connect does not come here, and is not counted."""
        self.exchange.attempts += 1

    # -- relay -----------------------------------------------------------------------------------------------

    def answer_for(self, attempt: Attempt, head: ResponseHead) -> Answer:
        """A head came from the replica."""
        answer = answer_for(
            head,
            self._asked,
            attempt.replica,
            self._reply,
            self._headers,
            withhold_usage=attempt.withhold_usage,
            max_bytes=self._settings.limits.answer_bytes,
        )
        if self._gone:
            answer.detach()
        return answer

    def _headers(self, head: ResponseHead, streamed: bool) -> Headers:
        """The reply's headers, made when its head is about to go out."""
        self.exchange.stamps.first_byte = self._exchanges.seconds()
        self._body = b""  # from here on it cannot be sent again
        return reply_headers(self.exchange, head, streamed=streamed)

    def pause(self) -> None:
        """The client does not keep up: neither shall the engine."""
        self._paused = True
        if self._attempt is not None and self._attempt.connection is not None:
            self._attempt.connection.pause()

    def resume(self) -> None:
        """It keeps up again."""
        self._paused = False
        self._resumed = self._exchanges.wheel.now
        if self._attempt is not None and self._attempt.connection is not None:
            self._attempt.connection.resume()

    # -- what ends it ----------------------------------------------------------------------------------------

    def attempt_over(self, attempt: Attempt, ending: Ending) -> None:
        """An attempt ended: once more, or that was it."""
        progress = attempt.progress
        again = attempt.died_unheard_on_reuse and self._settings.retry.resend_reused
        settle_attempt(attempt, ending, self._exchanges.pool, self._exchanges.metrics)
        self._attempt = None
        if self._reply.begun:
            progress = Progress.DELIVERED
        stateful = self._asked.stateful
        if not self._gone and may_repeat(progress, ending.outcome, stateful=stateful):
            if again:
                self.exchange.attempts -= 1  # it is the same attempt, on a connection that lives
                self._dispatch(attempt.replica, reuse=False)
                return
            if self._may_retry(progress):
                self._choose(error_of(ending, attempt.replica.name, attempt.fault, progress, self._late))
                return
        self._conclude(attempt, ending, progress)

    def _may_retry(self, progress: Progress) -> bool:
        """A refused connect sent nothing; the rest is bounded by number and by budget."""
        if progress is Progress.NOTHING_SENT:
            return True
        exchanges = self._exchanges
        return self.exchange.attempts < self._settings.retry.attempts and exchanges.budget.take(exchanges.wheel.now)

    def _conclude(self, attempt: Attempt, ending: Ending, progress: Progress) -> None:
        exchange, reply, answer = self.exchange, self._reply, attempt.answer
        self._concluded = True
        exchange.cause, exchange.outcome = ending.cause, ending.outcome
        error = error_of(ending, attempt.replica.name, attempt.fault, progress, self._late)
        if self._gone:
            exchange.outcome = Outcome.ABANDONED
            error = error or ClientGone("the client left")
        if answer is not None:
            exchange.events = answer.events
            if answer.usage is not None:
                exchange.input_tokens, exchange.output_tokens, exchange.cached_tokens = answer.usage
        if error is not None:
            exchange.error, exchange.reason = error.error_type, str(error)
        if self._gone:
            pass
        elif ending.framed_whole and answer is not None:
            answer.finish()
        elif reply.begun:
            streamed = answer is not None and answer.streamed
            reply.cut(error_event_of(error) if streamed and error is not None else b"")
        else:
            send_error(error or InternalError("the attempt ended without a reason"), exchange, reply)
        self._settle()

    def refuse(self, error: GatewayError) -> None:
        """The gateway's own answer: an error object."""
        if not self._concluded:
            self._concluded = True
            self.exchange.error, self.exchange.reason = error.error_type, str(error)
            send_error(error, self.exchange, self._reply)
            self._settle()

    def client_gone(self) -> None:
        """The client left.  The engine's work is cancelled, or read to its end where the replica wants that."""
        if self._concluded:
            return
        self._gone = True
        attempt = self._attempt
        if attempt is None:  # its request was still being read
            self._concluded = True
            self.exchange.cause, self.exchange.outcome = Cause.CLIENT_GONE, Outcome.ABANDONED
            self.exchange.error = ClientGone.error_type
            self._settle()
        elif attempt.replica.drains and attempt.sent is not None:
            self._slot = self._exchanges.wheel.join(self)
            if attempt.answer is not None:
                attempt.answer.detach()
            if self._paused:
                self.resume()
        else:
            attempt.end(Cause.CLIENT_GONE)

    def check(self, now: float) -> None:
        """From the wheel, by way of the client's connection, or directly once the client is gone."""
        attempt, timeouts = self._attempt, self._settings.timeouts
        if attempt is None:
            return
        if self._total_s and now - self.exchange.stamps.accepted > self._total_s:
            late = f"the answer was not whole within {self._total_s:g} s"
        elif attempt.heard is None:
            if attempt.sent is None or now - attempt.sent <= timeouts.first_byte:
                return
            late = f"no answer began within {timeouts.first_byte:g} s"
        elif self._paused or now - max(attempt.heard, self._resumed) <= timeouts.stall:
            return
        else:
            late = f"nothing came for {timeouts.stall:g} s"
        self._late = UpstreamTimeout(f"replica {attempt.replica.name}: {late}")
        attempt.end(Cause.DEADLINE)

    def expire(self, reason: str) -> None:
        """The gateway stops and has waited long enough."""
        self._late = Draining(reason)
        if self._attempt is None:
            self.refuse(self._late)
        else:
            self._attempt.end(Cause.DEADLINE)

    # -- settle ----------------------------------------------------------------------------------------------

    def _settle(self) -> None:
        """Everything is written: let go, then let the client's connection go on."""
        if self._slot is not None:
            self._slot.discard(self)
        settle_exchange(self.exchange, self._reply, self._exchanges)
        if not self._gone:
            self._reply.let_go()
