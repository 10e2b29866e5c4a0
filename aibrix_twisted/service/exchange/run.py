"""One exchange from first to last.

admit (what is asked?) -> choose (which replica?) -> dispatch (send it) -> relay (pass the answer on) -> settle.
An attempt that failed before the client got anything leads back to choose; where nothing can be chosen now but may be
soon, the exchange waits; everything else leads to C{conclude} or C{refuse}, one of which is reached once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Final

from twisted.logger import Logger

from aibrix_twisted.domain.assembly import Cause, Ending, Outcome
from aibrix_twisted.domain.attempt import AttemptRecord, Kind
from aibrix_twisted.domain.exchange import Exchange
from aibrix_twisted.domain.memory import Pressure
from aibrix_twisted.domain.replica import Replica
from aibrix_twisted.domain.waiting_room import NORMAL
from aibrix_twisted.errors import (
    DEFECT,
    ClientGone,
    ClientTooSlow,
    Draining,
    GatewayError,
    InternalError,
    UpstreamTimeout,
)
from aibrix_twisted.interfaces import Payload
from aibrix_twisted.policy.candidates import Lack, Tried
from aibrix_twisted.policy.retry import DECLINED, Again, Progress, again, backoff_s
from aibrix_twisted.service.downstream.reply import Reply
from aibrix_twisted.service.exchange import admit, dispatch
from aibrix_twisted.service.exchange.answers import Answer, StreamAnswer, answer_for
from aibrix_twisted.service.exchange.attempt import Attempt
from aibrix_twisted.service.exchange.choose import Routing
from aibrix_twisted.service.exchange.failures import error_event_of, error_of, lack_of, queue_full, reported
from aibrix_twisted.service.exchange.flights import Flight
from aibrix_twisted.service.exchange.given import Given
from aibrix_twisted.service.exchange.heal import HEALABLE, Healing
from aibrix_twisted.service.exchange.healer import Healer, breaks, could_heal
from aibrix_twisted.service.exchange.hedge import Hedges
from aibrix_twisted.service.exchange.respond import reply_headers, send_error
from aibrix_twisted.service.exchange.settle import settle_attempt, settle_exchange
from aibrix_twisted.service.exchange.waiter import NoPlace, Waiter
from aibrix_twisted.service.exchange.waiting import priority_of, tenant_of
from aibrix_twisted.service.wheel import Watched
from aibrix_twisted.wire.continuation import Continuation
from aibrix_twisted.wire.head import RequestHead, ResponseHead
from aibrix_twisted.wire.kept import Kept
from aibrix_twisted.wire.routes import Route

if TYPE_CHECKING:
    from aibrix_twisted.service.exchange.exchanges import Exchanges

_log = Logger()


#: What a model's replicas lack that those of a fallback may not.
_ELSEWHERE: Final = frozenset({Lack.DOWN, Lack.TRIED, Lack.UNMATCHED})


class Run:
    """Drives one exchange.  The settings are those of its beginning; so is the fleet, until it has to wait."""

    __slots__ = (
        "_asked",
        "_attempt",
        "_body",
        "_concluded",
        "_declined",
        "_delivered",
        "_exchanges",
        "_feeding",
        "_fleet",
        "_gone",
        "_head",
        "_heal_modes",
        "_healer",
        "_last",
        "_late",
        "_left",
        "_lines",
        "_lot",
        "_paused",
        "_priority",
        "_ready",
        "_resumed",
        "_rival",
        "_route",
        "_routing",
        "_slot",
        "_total_s",
        "_tried",
        "_waiter",
        "exchange",
        "reply",
        "settings",
    )

    def __init__(self, exchanges: Exchanges, exchange: Exchange, route: Route, head: RequestHead, reply: Reply) -> None:
        self._exchanges = exchanges
        self.settings = exchanges.settings
        self._fleet = exchanges.fleet
        self._heal_modes = exchanges.heal_modes
        self.exchange = exchange
        self._route = route
        self._head = head
        self.reply = reply
        self._attempt: Attempt | None = None
        self._rival: Attempt | None = None
        self._body = b""
        self._routing: Routing | None = None
        self._lot = 0.0
        self._priority = NORMAL
        self._ready = 0.0
        self._tried: dict[Replica, int] = {}
        self._last: tuple[Attempt, Ending, Progress] | None = None
        self._declined: tuple[Attempt, Ending, Progress] | None = None
        self._healer: Healer | None = None
        self._delivered = False
        self._waiter: Waiter | None = None
        self._total_s = self.settings.timeouts.total
        self._late: GatewayError | None = None
        self._paused = False
        self._resumed = 0.0
        self._gone = False
        self._left = ""
        self._concluded = False
        self._feeding = False
        self._slot: set[Watched] | None = None

    # -- admit -----------------------------------------------------------------------------------------------

    def begin(self, body: bytes) -> None:
        """The request is there whole."""
        exchanges, exchange, head = self._exchanges, self.exchange, self._head
        exchange.stamps.read = exchanges.seconds()
        exchange.bytes_in = len(body)
        self._body = body
        try:
            self._asked = asked = admit.read(self._route, head.fields, body, exchanges.bounds)
            exchange.stream = asked.stream
            self._total_s = admit.total_timeout(head, self._total_s)
            self._priority = priority_of(head)
            self._lot = exchanges.rng.random() if self._fleet.models else 0.0
            self._resolve()
            asked.document = None
        except GatewayError as error:
            self.refuse(error)
            return
        exchanges.count_request()
        self._lines = dispatch.sent_on(head, exchange.client, exchange.id, exchange.trace)
        exchange.stamps.admitted = exchanges.seconds()
        if exchanges.waiting.ahead(exchange.model or asked.model):
            self._get_in_line()
        else:
            self._choose()

    def _resolve(self) -> None:
        """Which model is it?  Left open while some replica has not said yet what it serves.

        @raise GatewayError: none that there is; or what is asked of its routing is not to be had.
        """
        exchange = self.exchange
        model = admit.model_of(self._asked, self._fleet, self._lot)
        if model is not None:
            self._routing = routing = self._exchanges.chooser.routing(model, self._head.fields, self._asked, self._body)
            plan = routing.plan
            exchange.policy, exchange.profile, exchange.sticky = plan.strategy.said, plan.profile, plan.strategy.sticky
            exchange.model = model
            if self._asked.max_tokens is not None:
                admit.check_tokens(self._asked, self._exchanges.catalogue.most_tokens(model))

    def _candidates(self, tried: Tried) -> Sequence[Replica] | Lack:
        """Who may be asked now."""
        selector = self._routing.plan.selector if self._routing is not None else None
        return self._exchanges.chooser.candidates(self.exchange.model, self._fleet, tried, selector)

    # -- choose, dispatch ------------------------------------------------------------------------------------

    def _choose(self) -> None:
        """Try a replica, wait for one, or say why not."""
        exchange = self.exchange
        self._ready = self._exchanges.seconds()
        routing = self._routing
        if routing is None:
            self._wait(Lack.DOWN)  # some replica has yet to say what it serves
            return
        chooser = self._exchanges.chooser
        found = chooser.choose(exchange, routing, exchange.model, self._fleet, self._tried)
        if found in _ELSEWHERE:
            for model in self._fleet.fallbacks(exchange.model):
                other = chooser.choose(exchange, routing, model, self._fleet, self._tried)
                if isinstance(other, Flight):
                    exchange.model, found = model, other
                    break
        if isinstance(found, Flight):
            replica = found.choice.replica
            self._tried[replica] = replica.health.rises
            kind = Kind.RETRY if exchange.attempts else Kind.FIRST
            given = Given(found, self._ready) if found.policy.learns else None
            self._dispatch(replica, kind, given, reuse=not self._asked.stateful)
        elif found is Lack.TRIED or found is Lack.UNMATCHED:
            self._give_up(found)
        else:
            self._wait(found)

    def _dispatch(self, replica: Replica, kind: Kind, given: Given | None = None, *, reuse: bool) -> None:
        """Send the request; beside an attempt that is under way, as its rival."""
        exchange = self.exchange
        exchange.replica = replica.name
        kept = self._to_keep(replica)
        body, edited, withhold = dispatch.edited_body(
            self._body, self._head.fields.get(b"content-type"), self._asked, exchange.model, replica, kept
        )
        head = dispatch.request_head(replica, self._head, self._lines_of_attempt(), len(body))
        attempt = self._attempt_at(replica, kind)
        attempt.edited, attempt.withhold_usage, attempt.given, attempt.kept = edited, withhold, given, kept
        if self._attempt is None:
            self._attempt = attempt
        else:
            self._rival = attempt
        attempt.send(head, body, self.settings.timeouts.connect, reuse=reuse)

    def _lines_of_attempt(self) -> bytes:
        trace = self.exchange.trace
        return self._lines if trace is None else dispatch.traced(self._lines, trace, self._exchanges.rng)

    def _attempt_at(self, replica: Replica, kind: Kind) -> Attempt:
        exchanges, exchange = self._exchanges, self.exchange
        gaps = exchanges.metrics.gaps_of(exchange.model, replica.name)
        record = AttemptRecord(replica.name, exchange.model, kind, self._ready, exchanges.seconds(), gaps)
        exchange.tries.append(record)
        return Attempt(
            self,
            replica,
            exchange.model,
            record,
            pool=exchanges.pool,
            wheel=exchanges.wheel,
            seconds=exchanges.seconds,
            late=exchanges.late,
        )

    def _to_keep(self, replica: Replica) -> Kept | None:
        """Where a stream is kept while it passes, so that it can be continued should this replica fail."""
        asked = self._asked
        if not asked.stream or asked.choices != 1 or asked.route.dialect not in HEALABLE:
            return None
        mode = self._heal_mode
        if mode == "off" or self._exchanges.memory.pressure >= Pressure.KEPT:
            return None
        takes_ids = replica.says_ids  # by text, they tell how many there were
        withholds_ids = takes_ids and not asked.token_ids
        return Kept(self.settings.heal.max_bytes, takes_ids=takes_ids, withholds_ids=withholds_ids)

    def attempt_sent(self) -> None:
        """The request is on its way; a refused connect does not come here, and is not counted."""
        self.exchange.attempts += 1
        if self._paused:  # the client has enough of the stream that this one continues
            self.pause()

    # -- wait ------------------------------------------------------------------------------------------------

    def _waits(self) -> Waiter:
        waiter = self._waiter
        if waiter is None:
            exchange, trusted = self.exchange, self.settings.auth.trust_user_header
            tenant = tenant_of(self._head, exchange.client, exchange.identity, trust_user=trusted)
            waiter = Waiter(self, self._exchanges, self.settings, exchange, self._priority, tenant)
            self._waiter = waiter
        return waiter

    def _wait(self, lack: Lack) -> None:
        """Nothing can take it now, but something may be able to soon."""
        no_place = self._waits().wait(lack, self.exchange.model or self._asked.model, len(self._body))
        if no_place is not None:
            self._give_up(Lack.TRIED if lack is Lack.SUSPECT else lack, full=no_place is NoPlace.FULL)

    def _get_in_line(self) -> None:
        """Others wait for the same.  What they wait for is what this one waits for."""
        found = self._candidates({})
        if isinstance(found, Lack):
            self._wait(found)
        else:
            self._wait(Lack.BUSY if self.settings.queue.wait_busy else Lack.DOWN)
            self._exchanges.waiting.stir()  # there is one already, for whoever is first

    def go_on(self) -> None:
        """It has waited; look again at the fleet as it is now."""
        self._fleet = self._exchanges.fleet
        if self._healer is not None:
            self._carefully(self._healer.go_on)
            return
        try:
            if self.exchange.model not in self._fleet.by_model:
                self._resolve()
        except GatewayError as error:
            self.refuse(error)
            return
        self._choose()

    def _check_waiting(self, now: float, waiter: Waiter) -> None:
        wanted = self._fleet.models.get(self.exchange.model)
        if waiter.is_late(now):
            self.go_on()  # what it lacks may be another thing by now; if not, it is told that it is late
        elif wanted is not None and wanted.ping and self._asked.stream:
            waiter.ping(now, wanted.ping, self.reply)

    # -- relay -----------------------------------------------------------------------------------------------

    def answer_for(self, attempt: Attempt, head: ResponseHead) -> Answer:
        """A head came from the replica."""
        if attempt.plan is not None and self._healer is not None:
            answer: Answer = self._healer.answer(attempt, attempt.plan, head)
        else:
            answer = answer_for(
                head,
                self._asked,
                attempt.replica,
                self.reply,
                self._answer_begins,
                attempt.record,
                self._exchanges.seconds,
                withhold_usage=attempt.withhold_usage,
                max_bytes=self._exchanges.sizes.answer_bytes(self.exchange.model, self.settings.limits.answer_bytes),
                kept=attempt.kept,
                may_break=None if attempt.kept is None else partial(self._may_break, attempt),
            )
        if self._gone:
            answer.detach()
        return answer

    def _answer_begins(
        self, answer: Answer, head: ResponseHead, data: bytes, *, streamed: bool, length: int | None
    ) -> None:
        """The client gets the first of it: from here on it cannot be had from elsewhere."""
        exchange, reply = self.exchange, self.reply
        exchange.stamps.first_byte = now = self._exchanges.seconds()
        self._delivered = True
        attempt = self._attempt
        if self._rival is not None and self._rival.answer is answer:
            attempt = self._rival
        if attempt is not None:  # else it is over, and was gathered whole
            self._won(attempt)
            if streamed and attempt.given is not None:
                attempt.given.answered(now)
            exchange.served = attempt.record
            exchange.replica, exchange.edited = attempt.replica.name, attempt.edited
        if attempt is None or attempt.kept is None or not streamed:
            self._body = b""  # it is not asked for again
        ahead = self._exchanges.sizes.ahead.get(exchange.model)
        if ahead is not None:
            reply.limit_ahead(ahead)
        if not reply.begun:
            headers = reply_headers(exchange, head, streamed=streamed)
            reply.begin(head.status, head.reason, headers, data, length=length)
        elif data:
            reply.write(data)

    def _won(self, attempt: Attempt) -> None:
        """Of two attempts this one is the first: the other is cancelled."""
        hedges, exchange = self._exchanges.hedges, self.exchange
        if hedges is not None and exchange.stream and exchange.stamps.ttft_s is not None:
            hedges.began(exchange.model, exchange.bytes_in, exchange.stamps.ttft_s - exchange.queued_s)
        rival, self._rival = self._rival, None
        if rival is None:
            return
        loser = self._attempt if attempt is rival else rival
        self._attempt = attempt
        self._exchanges.metrics.hedges["won" if attempt is rival else "lost"] += 1
        if loser is not None:
            loser.end(Cause.CLIENT_GONE)

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
        exchanges, progress = self._exchanges, attempt.progress
        decision = Again.NO
        if not (self._gone or attempt.defect):
            progress = Progress.DELIVERED if self._delivered else progress
            decision = again(
                progress, ending.outcome, attempt.status, stateful=self._asked.stateful, reused=attempt.reused
            )
        if self._rival is not None and decision is Again.NO and ending.framed_whole:
            self._won(attempt)  # it is an answer, whatever it says
        given = attempt.given
        settle_attempt(attempt, ending, exchanges)
        if attempt is self._rival:
            self._rival = None
        elif attempt is self._attempt:
            self._attempt, self._rival = self._rival, None
        if self._attempt is not None:
            return  # it came second, or the other one may still do
        if attempt.defect:
            self._late = InternalError(DEFECT)
            _log.error("a defect of the gateway ends the exchange {id}", id=self.exchange.id)
        if self._delivered and not (self._gone or self._concluded) and breaks(attempt, ending):
            self._heal(attempt, ending, progress)
        elif decision is Again.RESEND and self.settings.retry.resend_reused:
            self.exchange.attempts -= 1  # it is the same attempt, on a connection that lives
            self._ready = exchanges.seconds()
            given = Given(given.flight, self._ready) if given is not None else None
            self._dispatch(attempt.replica, Kind.RESEND, given, reuse=False)
        elif decision is Again.NO or not self._may_retry(decision):
            self.conclude(attempt, ending, progress)
        else:
            self._last = (attempt, ending, progress)
            if attempt.status in DECLINED:
                self._declined = self._last
            self._try_again(decision)

    def _may_retry(self, decision: Again) -> bool:
        """What was sent nothing is free; the rest is bounded by number and by budget."""
        if decision is Again.ELSEWHERE:
            return True
        exchanges = self._exchanges
        return self.exchange.attempts < self.settings.retry.attempts and exchanges.budget.take(exchanges.wheel.now)

    def _try_again(self, decision: Again) -> None:
        """At once where nothing was sent, or where nobody is left to be spared; else after a while."""
        exchanges, exchange, retry = self._exchanges, self.exchange, self.settings.retry
        left = self._candidates(self._tried)
        if decision is Again.ELSEWHERE or not retry.backoff or isinstance(left, Lack):
            self._choose()
        else:
            delay = backoff_s(exchange.attempts, retry.backoff, retry.backoff_max, exchanges.rng.random())
            self._waits().pause(delay)

    def _give_up(self, lack: Lack, *, full: bool = False) -> None:
        """No replica can be had: the client gets what an engine said last, or why there is none."""
        waited = self._waiter.waited_s if self._waiter is not None else 0.0
        last = self._declined or (self._last if lack is Lack.TRIED or not (waited or full) else None)
        if last is not None and not self._is_too_late(*last):
            self.conclude(*last)
        else:
            model = self.exchange.model or self._asked.model
            self.refuse(queue_full(model) if full else lack_of(lack, model, waited))

    def _is_too_late(self, attempt: Attempt, ending: Ending, progress: Progress) -> bool:
        """It answered whole, but since then a comment has gone out: it cannot be passed on as what it is."""
        return self.reply.begun and ending.framed_whole and attempt.answer is not None and not attempt.answer.streamed

    def conclude(self, attempt: Attempt, ending: Ending, progress: Progress, closing: bytes | None = None) -> None:
        """This is how it ends.

        @param closing: what the client lacks of a stream that is whole but for its end.
        """
        exchange, reply, answer = self.exchange, self.reply, attempt.answer
        self._concluded = True
        exchange.cause, exchange.outcome = ending.cause, ending.outcome
        if self._healer is None:
            exchange.served = attempt.record
        exchange.replica, exchange.edited = attempt.replica.name, attempt.edited
        error = error_of(ending, attempt.replica.name, attempt.fault, progress, self._late, tls=attempt.tls_failed)
        if self._gone:
            exchange.outcome = Outcome.ABANDONED
            error = ClientGone(self._left) if error is None or isinstance(error, ClientGone) else error
        elif error is None and answer is not None and answer.is_error:
            exchange.outcome, error = Outcome.BROKEN, reported(attempt.replica.name)
        if answer is not None:
            exchange.events = answer.events
            if answer.usage is not None:
                exchange.input_tokens, exchange.output_tokens, exchange.cached_tokens = answer.usage.told
        if error is not None:
            exchange.failed(error)
        if self._gone:
            pass
        elif closing is not None:
            if closing:
                reply.write(closing)
            reply.finish()
        elif ending.framed_whole and answer is not None:
            answer.finish()
        elif reply.begun:
            pinged = self._waiter is not None and self._waiter.pinged_at is not None
            streamed = pinged or self._healer is not None or (answer is not None and answer.streamed)
            said = answer.withheld if isinstance(answer, StreamAnswer) and ending.payload is Payload.BROKEN else b""
            reply.cut(said or (error_event_of(error) if streamed and error is not None else b""))
        else:
            send_error(error or InternalError("the attempt ended without a reason"), exchange, reply)
        self._end()

    def refuse(self, error: GatewayError) -> None:
        """The gateway's own answer: an error object."""
        if self._concluded:
            return
        self._concluded = True
        if self._waiter is not None:
            self._waiter.stop()
        self.exchange.failed(error)
        if self.reply.begun:
            self.reply.cut(error_event_of(error))
        else:
            send_error(error, self.exchange, self.reply)
        self._end()

    def client_gone(self, why: str) -> None:
        """The client left.  The engine's work is cancelled, or read to its end where the replica wants that."""
        if self._concluded:
            if self.reply.spool is not None:
                self._gone, self._left = True, why
                if self._feeding:
                    self._left_untaken()
            return
        self._gone, self._left = True, why
        attempt, rival = self._attempt, self._rival
        if attempt is None:  # its request was still being read, or it waited
            self._concluded = True
            if self._waiter is not None:
                self._waiter.stop()
            self.exchange.cause, self.exchange.outcome = Cause.CLIENT_GONE, Outcome.ABANDONED
            self.exchange.failed(ClientGone(why))
            self._end()
            return
        if rival is not None:
            rival.end(Cause.CLIENT_GONE)
        if attempt.replica.drains and attempt.sent is not None:
            self._slot = self._exchanges.wheel.join(self)
            self._exchanges.orphans.add(self)
            if attempt.answer is not None:
                attempt.answer.detach()
            if self._paused:
                self.resume()
        else:
            attempt.end(Cause.CLIENT_GONE)

    def check(self, now: float) -> None:
        """From the wheel, by way of the client's connection, or directly once the client is gone."""
        attempt, timeouts = self._attempt, self.settings.timeouts
        if attempt is not None and attempt.kept is not None and self._exchanges.memory.pressure >= Pressure.KEPT:
            attempt.kept.drop()  # it cannot be healed any more
        if self._total_s and now - self.exchange.stamps.accepted > self._total_s:
            self._expire(self._overdue())
        elif attempt is None:
            if self._waiter is not None:
                self._check_waiting(now, self._waiter)
        elif why := attempt.overdue(now, timeouts, paused=self._paused, resumed=self._resumed):
            if self._may_go_on(attempt):
                attempt.give_up(why)
            else:
                attempt.fault = why
                self._expire(UpstreamTimeout(f"replica {attempt.replica.name}: {why}"))
        elif attempt.health.silent and attempt.sent is not None and self._may_leave(attempt, now):
            attempt.give_up("nothing comes of it, and the replica does not answer its probes")
        elif self._exchanges.hedges is not None and self._rival is None and not (self._delivered or self._gone):
            self._hedge(now, attempt, self._exchanges.hedges)

    def _overdue(self) -> GatewayError:
        if self._feeding:
            return ClientTooSlow(f"the client had not taken the answer within {self._total_s:g} s")
        return UpstreamTimeout(f"the answer was not whole within {self._total_s:g} s")

    @property
    def attempts_under_way(self) -> list[Attempt]:
        """Those that hold a lease."""
        return [attempt for attempt in (self._attempt, self._rival) if attempt is not None]

    @property
    def held(self) -> tuple[int, int]:
        """Bytes that it keeps: of its request and of an answer, and of a stream for healing."""
        attempts = self.attempts_under_way
        answers = [attempt.answer.held for attempt in attempts if attempt.answer is not None]
        return len(self._body) + sum(answers), sum([a.kept.size for a in attempts if a.kept is not None])

    def stuck(self, since: float) -> str:
        """Why nothing will come of it any more, for people; C{""}: something will.

        @param since: it should have been over by then.
        """
        if self._concluded or self.exchange.stamps.read is None:
            return ""  # it is over, or its client's deadlines are minded
        if self._total_s and since - self.exchange.stamps.accepted > self._total_s:
            return f"it is not over after {self._total_s:g} s"
        if self._attempt is None and (self._waiter is None or self._waiter.is_idle):
            return "no replica is asked, and it waits for nothing"
        return ""

    def _may_move(self) -> bool:
        """Another replica could have it instead."""
        if self._healer is not None:
            return not self._gone and self._healer.could_move
        found = self._candidates(self._tried)
        return not (self._asked.stateful or self._gone or self._delivered or isinstance(found, Lack))

    def _may_go_on(self, attempt: Attempt) -> bool:
        """A stream that has stalled can be had, or continued, elsewhere."""
        if self._delivered:
            return attempt.plan is not None or self._could_heal(attempt)
        return self._asked.stream and attempt.heard is not None and self._may_move()

    def _may_leave(self, attempt: Attempt, now: float) -> bool:
        """Its replica is silent, and so is it; another one could go on with it."""
        if attempt.heard is None:
            return self._may_move()
        if self._paused or now - max(attempt.heard, self._resumed) <= attempt.health.patience:
            return False
        if not self._delivered or attempt.plan is not None:
            return self._may_move()
        found = self._candidates(self._broken_at(attempt))
        if isinstance(found, Lack) or all(replica.health.silent for replica in found):
            return False
        if self._could_heal(attempt):
            return True
        self.exchange.heal, self.exchange.heal_reason = None, ""  # it has not broken, and may go on
        return False

    def _hedge(self, now: float, attempt: Attempt, hedges: Hedges) -> None:
        """Where a stream is late, and a replica has nothing to do: a second attempt beside the first."""
        exchange, asked = self.exchange, self._asked
        surely = now - self._exchanges.wheel.tick_s  # by so much it may have been sent later than it says
        if asked.stateful or not asked.stream or not hedges.is_late(exchange.model, exchange.bytes_in, attempt, surely):
            return
        selector = self._routing.plan.selector if self._routing is not None else None
        replica = self._exchanges.chooser.free(exchange.model, self._fleet, self._tried, selector)
        if replica is not None and hedges.take(now):
            self._tried[replica] = replica.health.rises
            self._ready = self._exchanges.seconds()
            self._dispatch(replica, Kind.HEDGE, reuse=True)

    def expire(self, reason: str) -> None:
        """The gateway stops and has waited long enough."""
        self._expire(Draining(reason))

    def fail(self) -> None:
        """A defect of the gateway's: whatever its state is, it ends, and is counted as what it is."""
        for attempt in (self._rival, self._attempt):
            if attempt is not None:
                attempt.drop()
        if self._feeding:
            self._stop_feeding(InternalError(DEFECT), Outcome.BROKEN)
        else:
            self.refuse(InternalError(DEFECT))

    def _expire(self, late: GatewayError) -> None:
        if self._feeding:
            self._stop_feeding(late, Outcome.TIMED_OUT)
            return
        self._late = late
        if self._rival is not None:
            self._rival.end(Cause.DEADLINE)
        if self._attempt is not None:
            self._attempt.end(Cause.DEADLINE)
        elif self._healer is not None:
            self._waits().stop()
            self._healer.expire()
        elif not self._gone:
            self.refuse(late)

    # -- heal ------------------------------------------------------------------------------------------------

    @property
    def _heal_mode(self) -> str:
        return self._heal_modes.get(self.exchange.model, self.settings.heal.mode)

    def _may_break(self, attempt: Attempt) -> bool:
        """The engine says that it failed, or ends the stream unfinished: the client need not know, perhaps."""
        if self._delivered:
            return self._could_heal(attempt)
        return self._rival is not None or (self.exchange.attempts < self.settings.retry.attempts and self._may_move())

    def _could_heal(self, attempt: Attempt) -> bool:
        """Whether the stream under way, should it break now, could go on from elsewhere."""
        if self._gone or attempt.kept is None:
            return False
        candidates = self._candidates(self._broken_at(attempt))
        return could_heal(self._healing_of(attempt, attempt.kept), self.exchange, self._exchanges, candidates)

    def _broken_at(self, attempt: Attempt) -> dict[Replica, int]:
        """Who is not asked to go on with it.  Who failed with the request before, or lost the race, may be."""
        return {attempt.replica: self._tried.get(attempt.replica, attempt.health.rises)}

    def _healing_of(self, attempt: Attempt, kept: Kept) -> Healing:
        return Healing(self._asked, self._body, kept, self._heal_mode, attempt.replica.engine)

    def _heal(self, attempt: Attempt, ending: Ending, progress: Progress) -> None:
        """A stream that the client has some of broke."""
        if self._healer is not None:
            self._carefully(partial(self._healer.broke_again, attempt))
        else:
            self._carefully(partial(self._begin_to_heal, attempt, ending, progress))

    def _begin_to_heal(self, attempt: Attempt, ending: Ending, progress: Progress) -> None:
        if attempt.kept is not None and self._routing is not None:
            healing = self._healing_of(attempt, attempt.kept)
            broken = (attempt, ending, progress)
            tried = self._broken_at(attempt)
            self._healer = Healer(self, self._exchanges, self._routing, healing, broken, tried)
            self._waiter = None  # what was waited before the answer is no part of this
            self._healer.go_on()

    def _carefully(self, go_on: Callable[[], None]) -> None:
        """Whatever is wrong with it, the exchange has to end."""
        try:
            go_on()
        except Exception:  # noqa: BLE001 - the door: nobody above would end it
            _log.failure("while the stream of exchange {id} is continued", id=self.exchange.id)
            self.fail()

    def wait_to_heal(self) -> bool:
        """Wait for a replica that is busy.

        @return: whether there is a place to wait.
        """
        return self._waits().wait(Lack.BUSY, self.exchange.model, len(self._body)) is None

    def send_continuation(self, flight: Flight, plan: Continuation) -> None:
        """Ask a replica for the rest of the stream."""
        replica = flight.choice.replica
        self._ready = self._exchanges.seconds()
        attempt = self._attempt = self._attempt_at(replica, Kind.HEAL)
        attempt.plan, attempt.edited = plan, self.exchange.edited
        attempt.given = Given(flight, self._ready) if flight.policy.learns else None
        self.exchange.healed = attempt.record
        head = dispatch.continuation_head(replica, self._head, self._lines_of_attempt(), plan)
        attempt.send(head, plan.body, self.settings.timeouts.connect, reuse=False)

    # -- settle ----------------------------------------------------------------------------------------------

    def _end(self) -> None:
        """Everything is written: settle, once the client has what is in a file for it."""
        if self._slot is not None:
            self._slot.discard(self)
            self._exchanges.orphans.discard(self)
        if self._healer is not None:
            self._healer.over(self.exchange.outcome)
        self._last = self._declined = None  # they know us: a circle would wait for the collector
        self._healer = self._waiter = None
        spool = self.reply.spool
        if spool is None:
            self._settle()
        elif self._gone:
            self._left_untaken()
        else:
            self._feeding = True
            spool.end(self._taken)

    def _taken(self) -> None:
        """The client has what was in a file for it."""
        self.exchange.stamps.taken = self._exchanges.seconds()
        self._settle()

    def _left_untaken(self) -> None:
        """It left, or was cut off, before it had."""
        exchange = self.exchange
        if self._feeding:
            exchange.stamps.taken = self._exchanges.seconds()
        if not exchange.error:
            exchange.cause, exchange.outcome = Cause.CLIENT_GONE, Outcome.ABANDONED
            exchange.failed(ClientGone(self._left))
        self._settle()

    def _stop_feeding(self, error: GatewayError, outcome: Outcome) -> None:
        """The client does not get the rest of it."""
        exchange = self.exchange
        if not exchange.error:
            exchange.cause, exchange.outcome = Cause.DEADLINE, outcome
            exchange.failed(error)
        self.reply.stop_feeding(str(error))

    def _settle(self) -> None:
        """All is over: let go, then let the client's connection go on."""
        self._feeding = False
        settle_exchange(self.exchange, self.reply, self._exchanges)
        if not self._gone:
            self.reply.let_go()
