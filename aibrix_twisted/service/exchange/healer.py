"""Who is asked to go on with a stream that broke, and when it is given up."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from aibrix_twisted.domain.assembly import Cause, Ending, Outcome
from aibrix_twisted.domain.exchange import Exchange, Heal
from aibrix_twisted.domain.replica import Replica
from aibrix_twisted.interfaces import Payload
from aibrix_twisted.policy.candidates import Lack
from aibrix_twisted.policy.retry import Progress
from aibrix_twisted.service.exchange.answers import StreamAnswer
from aibrix_twisted.service.exchange.attempt import Attempt
from aibrix_twisted.service.exchange.choose import Routing
from aibrix_twisted.service.exchange.flights import Flight
from aibrix_twisted.service.exchange.heal import HealedAnswer, Healing
from aibrix_twisted.wire.continuation import CannotContinue, Continuation
from aibrix_twisted.wire.head import ResponseHead

if TYPE_CHECKING:
    from aibrix_twisted.service.exchange.exchanges import Exchanges
    from aibrix_twisted.service.exchange.run import Run

#: Outcomes after which a stream may go on from elsewhere.
_BROKE: Final = frozenset({Outcome.TRUNCATED, Outcome.BROKEN})


def breaks(attempt: Attempt, ending: Ending) -> bool:
    """Whether this ending of a stream that the client has some of is one that may be healed.

    An error, or a C{[DONE]}, of which the client has read is none: it has been told that this is the end.
    """
    answer = attempt.answer
    if attempt.defect:
        return False
    if attempt.plan is not None:
        return ending.outcome is not Outcome.TIMED_OUT and not _is_whole(attempt, ending)
    if attempt.kept is None or not isinstance(answer, StreamAnswer):
        return False
    if ending.outcome is Outcome.MALFORMED:  # its framing is whole, and perhaps only its last word is missing
        return not (answer.finished or answer.saw_done)
    if ending.outcome not in _BROKE:
        return False
    return bool(answer.withheld) or not (ending.payload is Payload.BROKEN or (answer.saw_done and not answer.finished))


def _is_whole(attempt: Attempt, ending: Ending) -> bool:
    """A continuation has brought the stream to its end."""
    answer = attempt.answer
    return ending.outcome is Outcome.COMPLETE and isinstance(answer, HealedAnswer) and not answer.declined


class Healer:
    """Of one exchange, from its first break on."""

    def __init__(
        self,
        run: Run,
        exchanges: Exchanges,
        routing: Routing,
        healing: Healing,
        broken: tuple[Attempt, Ending, Progress],
        tried: dict[Replica, int],
    ) -> None:
        """
        @param broken: the attempt that broke first, and how: what the client is told should nothing come of the
            healing.
        @param tried: its replica, and how often that had come up when it was chosen.
        """
        self._run = run
        self._exchanges = exchanges
        self._routing = routing
        self._healing = healing
        self._broken = broken
        self._tried = tried
        self._attempts = 0
        self._paid = False  # an attempt is counted that was not made
        self._events = broken[0].answer.events if broken[0].answer is not None else 0
        self._queued_s = run.exchange.queued_s

    # -- on --------------------------------------------------------------------------------------------------

    def go_on(self) -> None:
        """Ask another replica for the rest, wait for one that is busy, or let the stream end."""
        try:
            closing = self._healing.closing()
            if closing is not None:
                attempt, ending, progress = self._broken
                self._run.conclude(attempt, ending.judged(Outcome.COMPLETE), progress, closing)
                return
            found = self._find()
        except CannotContinue as why:
            self._ends(Heal.REFUSED, str(why))
        else:
            if isinstance(found, tuple) and self._may():
                replica = found[0].choice.replica
                self._tried[replica] = replica.health.rises
                self._run.send_continuation(*found)
                return
            if found is Lack.BUSY and self._run.wait_to_heal():
                return
            if found is Lack.BUSY:
                self._ends(Heal.NO_REPLICA, "all other replicas are busy")
            elif isinstance(found, Lack):
                self._ends(Heal.FAILED if self._attempts else Heal.NO_REPLICA, "no other replica is left to go on")
        self._give_up()

    def broke_again(self, attempt: Attempt) -> None:
        """A continuation ended before the stream did."""
        if attempt.answer is not None:
            self._events = attempt.answer.events
        if attempt.sent is None:
            self._paid = True  # nothing listens there: that costs nobody anything
        self.go_on()

    def answer(self, attempt: Attempt, plan: Continuation, head: ResponseHead) -> HealedAnswer:
        """How a continuation is passed on."""
        return HealedAnswer(
            self._healing,
            plan,
            head,
            self._run.reply,
            attempt.record,
            self._exchanges.seconds,
            done_required=attempt.replica.done_required,
            events=self._events,
        )

    @property
    def could_move(self) -> bool:
        """Yet another replica could be asked."""
        exchange, exchanges = self._run.exchange, self._exchanges
        selector = self._routing.plan.selector
        found = exchanges.chooser.candidates(exchange.model, exchanges.fleet, self._tried, selector)
        return not isinstance(found, Lack)

    def _find(self) -> tuple[Flight, Continuation] | Lack:
        """A replica, of the fleet as it is now, and what to ask it.  Those that can't go on with it are passed over.

        @raise CannotContinue: none that is left can, and why the last one can't.
        """
        exchange, exchanges = self._run.exchange, self._exchanges
        why_not = ""  # an exception kept would hold this frame in a circle
        while True:
            found = exchanges.chooser.choose(exchange, self._routing, exchange.model, exchanges.fleet, self._tried)
            if isinstance(found, Lack):
                if why_not and found is not Lack.BUSY:
                    raise CannotContinue(why_not)
                return found
            replica = found.choice.replica
            try:
                return found, self._healing.plan(replica, exchange.model, exchanges.catalogue.context(exchange.model))
            except CannotContinue as why:
                why_not = str(why)
                self._tried[replica] = replica.health.rises

    def _may(self) -> bool:
        exchanges = self._exchanges
        if self._paid:
            self._paid = False
            return True
        if self._attempts >= self._run.settings.heal.attempts:
            self._ends(Heal.FAILED, f"{self._attempts} continuations came to nothing")
            return False
        if not exchanges.heal_budget.take(exchanges.wheel.now):
            self._ends(Heal.OVER_BUDGET, "too many streams are continued already")
            return False
        self._attempts += 1
        return True

    # -- over ------------------------------------------------------------------------------------------------

    def expire(self) -> None:
        """It waited, and a deadline passed."""
        attempt, ending, progress = self._broken
        self._run.conclude(attempt, ending.judged(Outcome.TIMED_OUT, Cause.DEADLINE), progress)

    def _give_up(self) -> None:
        """It ends as it broke; if more of it came since then, not as if that were all."""
        attempt, ending, progress = self._broken
        if self._attempts and ending.framed_whole:
            ending = ending.judged(Outcome.BROKEN, Cause.UPSTREAM_BROKE)
        self._run.conclude(attempt, ending, progress)

    def over(self, outcome: Outcome | None) -> None:
        """The exchange is over: say what became of its healing."""
        exchange, usage = self._run.exchange, self._healing.told.usage
        exchange.events = max(exchange.events, self._events)
        exchange.queued_s = self._queued_s  # that was before; what was waited since then is part of the healing
        if exchange.output_tokens is None and usage is not None:
            exchange.input_tokens, exchange.output_tokens, exchange.cached_tokens = usage.told
        if outcome is Outcome.COMPLETE:
            exchange.heal, exchange.heal_reason = Heal.HEALED, ""
        elif outcome is Outcome.ABANDONED:
            exchange.heal, exchange.heal_reason = Heal.ABANDONED, ""
        elif exchange.heal is None:
            why = "its time was over" if outcome is Outcome.TIMED_OUT else "the gateway failed"
            exchange.heal, exchange.heal_reason = Heal.FAILED, why

    def _ends(self, heal: Heal, reason: str) -> None:
        self._run.exchange.heal, self._run.exchange.heal_reason = heal, reason


def could_heal(healing: Healing, exchange: Exchange, exchanges: Exchanges, found: Sequence[Replica] | Lack) -> bool:
    """Whether a stream that is about to break could go on: another replica is up, and may continue it.

    Where it could not, the exchange says why.

    @param found: who may be asked.
    """
    try:
        if healing.closing() is not None:
            return True
        if found is Lack.BUSY and exchanges.settings.queue.wait_busy:
            return True
        if isinstance(found, Lack):
            exchange.heal, exchange.heal_reason = Heal.NO_REPLICA, "no other replica is up and free"
            return False
        context = exchanges.catalogue.context(exchange.model)
        return any([_can(healing, replica, exchange, context) for replica in found])
    except CannotContinue as why:
        exchange.heal, exchange.heal_reason = Heal.REFUSED, str(why)
        return False


def _can(healing: Healing, replica: Replica, exchange: Exchange, context: int | None) -> bool:
    try:
        healing.plan(replica, exchange.model, context)
    except CannotContinue as why:
        exchange.heal, exchange.heal_reason = Heal.REFUSED, str(why)
        return False
    exchange.heal, exchange.heal_reason = None, ""
    return True
