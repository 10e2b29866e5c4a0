"""Exchanges in every stage, for the documents that show them.  They are accepted at 1, of a clock that says 10."""

from __future__ import annotations

from aibrix_twisted.domain.assembly import Cause, Outcome
from aibrix_twisted.domain.attempt import AttemptRecord, Kind
from aibrix_twisted.domain.exchange import Exchange
from aibrix_twisted.domain.histogram import Histogram
from aibrix_twisted.domain.timing import Stamps
from aibrix_twisted.errors import NoReplica


def receiving(id: str = "r", accepted: float = 1.0) -> Exchange:
    """One whose request is being read."""
    return Exchange(id, "192.0.2.7", "POST", "/v1/chat/completions", "chat_completions", Stamps(accepted))


def tried(id: str = "t", accepted: float = 1.0, replica: str = "gpu0") -> Exchange:
    """One that a replica has, after another refused it."""
    exchange = receiving(id, accepted)
    stamps = exchange.stamps
    stamps.head, stamps.read, stamps.admitted = accepted + 0.125, accepted + 0.25, accepted + 0.25
    exchange.model, exchange.policy, exchange.stream, exchange.bytes_in = "m", "least-request", True, 87
    first = AttemptRecord("gpu9", "m", Kind.FIRST, accepted + 0.25, accepted + 0.25, Histogram([1.0]))
    first.ended, first.outcome, first.fault = accepted + 0.5, Outcome.BROKEN, "connection refused"
    second = AttemptRecord(replica, "m", Kind.RETRY, accepted + 0.5, accepted + 0.5, Histogram([1.0]))
    second.sent = accepted + 0.75
    exchange.tries += [first, second]
    exchange.attempts, exchange.replica = 1, replica
    return exchange


def complete(id: str = "c", accepted: float = 1.0, replica: str = "gpu0") -> Exchange:
    """One that is over, and was a stream of three reads."""
    exchange = tried(id, accepted, replica)
    stamps, record = exchange.stamps, exchange.tries[-1]
    record.head, record.first, record.ended = accepted + 1.0, accepted + 1.25, accepted + 3.0
    for later in (1.25, 2.0, 3.0):
        record.beats.beat(accepted + later)
    record.status, record.outcome = 200, Outcome.COMPLETE
    stamps.first_byte, stamps.ended = accepted + 1.25, accepted + 3.0
    exchange.served, exchange.cause, exchange.outcome = record, Cause.FINAL_CHUNK, Outcome.COMPLETE
    exchange.status, exchange.events, exchange.bytes_out = 200, 4, 512
    exchange.input_tokens, exchange.output_tokens, exchange.cached_tokens = 5, 8, 0
    return exchange


def refused(id: str = "e", accepted: float = 1.0) -> Exchange:
    """One that no replica had."""
    exchange = receiving(id, accepted)
    exchange.model, exchange.status = "m", 503
    exchange.failed(NoReplica("no replica of m is up"))
    exchange.stamps.read = exchange.stamps.admitted = accepted + 0.25
    exchange.stamps.ended = accepted + 0.5
    return exchange
