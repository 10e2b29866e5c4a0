"""An exchange as a line of the access log.  Never a prompt, an answer, or a key."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache

import orjson

from aibrix_twisted.domain.exchange import Exchange
from aibrix_twisted.service.telemetry.metrics import outcome_label


def line_of(exchange: Exchange, ended_at: float) -> bytes:
    """One JSON object and a line end.

    C{time} is when it was over, in UTC; seconds are fractions; what does not apply is null or empty.

    @param ended_at: seconds since 1970.
    """
    stamps = exchange.stamps
    record = {
        "time": _timestamp(ended_at),
        "id": exchange.id,
        "client": exchange.client,
        "method": exchange.method,
        "path": exchange.path,
        "route": exchange.route,
        "model": exchange.model,
        "replica": exchange.replica,
        "policy": exchange.policy,
        "attempts": exchange.attempts,
        "status": exchange.status,
        "outcome": outcome_label(exchange),
        "cause": exchange.cause,
        "error": exchange.error,
        "reason": exchange.reason,
        "stream": exchange.stream,
        "edited": exchange.edited,
        "bytes_in": exchange.bytes_in,
        "bytes_out": exchange.bytes_out,
        "events": exchange.events,
        "input_tokens": exchange.input_tokens,
        "output_tokens": exchange.output_tokens,
        "cached_tokens": exchange.cached_tokens,
        "queued_s": _rounded(exchange.queued_s),
        "ttft_s": _rounded(stamps.ttft_s),
        "duration_s": _rounded(stamps.duration_s),
    }
    return orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE)


def _timestamp(at: float) -> str:
    """RFC 3339, in milliseconds."""
    second = int(at)
    return f"{_second(second)}.{int((at - second) * 1000):03d}Z"


@lru_cache(maxsize=4)
def _second(at: int) -> str:
    """Most lines are of the same second as the one before."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 6)
