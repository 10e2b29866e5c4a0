"""Exchanges as documents: a line of a list, and a whole timeline."""

from __future__ import annotations

from aibrix_twisted.domain.attempt import AttemptRecord
from aibrix_twisted.domain.exchange import Exchange
from aibrix_twisted.domain.live import state_of
from aibrix_twisted.domain.timing import OWN, PHASES, phases
from aibrix_twisted.service.admin.look import timestamp
from aibrix_twisted.service.admin.shapes import Attempt, Request, RequestStamps, Timeline
from aibrix_twisted.service.telemetry.metrics import outcome_label


def age_s(exchange: Exchange, now: float) -> float:
    """From its first byte to its end, or to now."""
    stamps = exchange.stamps
    return (now if stamps.ended is None else stamps.ended) - stamps.accepted


def request_of(exchange: Exchange, now: float, wall: float) -> Request:
    """A line of a list.

    @param now: by the clock of what is stamped.
    @param wall: the same moment, in seconds since 1970.
    """
    stamps, over = exchange.stamps, exchange.stamps.ended is not None
    return {
        "id": exchange.id,
        "state": state_of(exchange),
        "client": exchange.client,
        "method": exchange.method,
        "path": exchange.path,
        "route": exchange.route,
        "model": exchange.model,
        "replica": exchange.replica,
        "policy": exchange.policy,
        "stream": exchange.stream,
        "attempts": exchange.attempts,
        "accepted_at": timestamp(wall - now + stamps.accepted),
        "duration_s": _rounded(age_s(exchange, now)),
        "queued_s": _rounded(exchange.queued_s),
        "ttft_s": _maybe(stamps.ttft_s),
        "status": exchange.status if over else None,
        "outcome": outcome_label(exchange) if over else None,
        "error": exchange.error,
        "reason": exchange.reason,
        "bytes_in": exchange.bytes_in,
        "bytes_out": exchange.bytes_out,
        "events": exchange.events,
        "input_tokens": exchange.input_tokens,
        "output_tokens": exchange.output_tokens,
        "cached_tokens": exchange.cached_tokens,
    }


def timeline_of(exchange: Exchange, now: float, wall: float) -> Timeline:
    """All that is known of when, in seconds after the request's first byte."""
    stamps, zero = exchange.stamps, exchange.stamps.accepted
    took = None
    if stamps.ended is not None:
        took = {name: _rounded(each) for name, each in zip(PHASES, phases(exchange), strict=True)}
    at: RequestStamps = {
        "accepted": 0.0,
        "head": _after(zero, stamps.head),
        "read": _after(zero, stamps.read),
        "admitted": _after(zero, stamps.admitted),
        "first_byte": _after(zero, stamps.first_byte),
        "ended": _after(zero, stamps.ended),
    }
    return {
        **request_of(exchange, now, wall),
        "trace_id": exchange.trace_id,
        "cause": exchange.cause,
        "edited": exchange.edited,
        "stamps": at,
        "phases": took,
        "own_s": None if took is None else _rounded(sum(took[name] for name in OWN)),
        "tpot_s": _maybe(exchange.tpot_s),
        "tries": [_attempt_of(record, zero) for record in exchange.tries],
    }


def _attempt_of(record: AttemptRecord, zero: float) -> Attempt:
    return {
        "replica": record.replica,
        "model": record.model,
        "kind": record.kind,
        "ready": _rounded(record.ready - zero),
        "started": _rounded(record.started - zero),
        "sent": _after(zero, record.sent),
        "head": _after(zero, record.head),
        "first": _after(zero, record.first),
        "last": _after(zero, record.last),
        "ended": _after(zero, record.ended),
        "status": record.status or None,
        "outcome": record.outcome,
        "fault": record.fault,
        "ttft_s": _maybe(record.ttft_s),
    }


def _after(zero: float, stamp: float | None) -> float | None:
    return None if stamp is None else _rounded(stamp - zero)


def _maybe(seconds: float | None) -> float | None:
    return None if seconds is None else _rounded(seconds)


def _rounded(seconds: float) -> float:
    """To the microsecond."""
    return round(seconds, 6)
