"""What an attempt and an exchange hold is let go of here, once, and nowhere else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aibrix_twisted.domain.assembly import Ending, Outcome
from aibrix_twisted.domain.exchange import Exchange
from aibrix_twisted.errors import ClientGone, InternalError
from aibrix_twisted.service.downstream.reply import Reply
from aibrix_twisted.service.exchange.answers import StreamAnswer
from aibrix_twisted.service.exchange.attempt import Attempt
from aibrix_twisted.service.exchange.evidence import weigh

if TYPE_CHECKING:
    from aibrix_twisted.service.exchange.exchanges import Exchanges


def settle_attempt(attempt: Attempt, ending: Ending, exchanges: Exchanges) -> None:
    """The lease goes back, the connection goes back or is closed, and what was learned of the replica is kept."""
    replica = attempt.replica
    attempt.lease.release()
    weigh(attempt, ending, exchanges.wheel.now, exchanges.rng)
    connection, attempt.connection = attempt.connection, None
    if connection is not None:
        exchanges.pool.give_back(connection)
    if isinstance(attempt.answer, StreamAnswer) and attempt.answer.saw_done:
        replica.seen_done = True
    if attempt.fault and not attempt.defect:
        replica.last_error = attempt.fault
    given, attempt.given = attempt.given, None
    if given is not None:
        given.ended(attempt, exchanges.seconds())
    record = attempt.record
    record.outcome, record.fault = ending.outcome, attempt.fault
    exchanges.metrics.count_attempt(record, streamed=isinstance(attempt.answer, StreamAnswer))
    exchanges.left(replica)


def settle_orphan(exchange: Exchange, exchanges: Exchanges) -> None:
    """An exchange that nobody runs is over: a defect of ours, counted as one."""
    exchange.stamps.ended = exchanges.seconds()
    exchange.outcome = exchange.outcome or Outcome.BROKEN
    exchange.failed(InternalError("nobody ran it any more"))
    exchanges.over(exchange)


def settle_exchange(exchange: Exchange, reply: Reply, exchanges: Exchanges) -> None:
    """The stamps are closed, and the meters and the log are told."""
    exchange.stamps.ended = exchanges.seconds()
    exchange.bytes_out = reply.bytes_given
    exchange.status = ClientGone.status if exchange.outcome is Outcome.ABANDONED else reply.status
    exchanges.over(exchange)
