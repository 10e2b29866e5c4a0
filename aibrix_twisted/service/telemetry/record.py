"""An exchange as a line of the access log.  Never a prompt, an answer, or a key.

C{docs/access-log.md} says what each member means, C{docs/access-log.schema.json} what it may be.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final

import orjson

from aibrix_twisted.domain.assembly import Outcome
from aibrix_twisted.domain.attempt import AttemptRecord
from aibrix_twisted.domain.exchange import Exchange
from aibrix_twisted.domain.timing import PHASES, phases
from aibrix_twisted.service.telemetry.metrics import outcome_label

_COMPLETE: Final = Outcome.COMPLETE

#: Doubles of this size are whole numbers (IEEE 754: 52 bits of fraction).
_LARGE: Final = 2.0**52


def line_of(exchange: Exchange, ended_at: float, sample: float, *, slow: bool) -> bytes:
    """One JSON object and a line end.

    C{time} is when it was over, in UTC; seconds are fractions; what does not apply is null or empty.

    @param ended_at: seconds since 1970.
    @param sample: which share of such exchanges is logged.
    """
    stamps, ttft_s, tpot_s = exchange.stamps, exchange.stamps.ttft_s, exchange.tpot_s
    tries, output_tokens = exchange.tries, exchange.output_tokens
    record = {
        "time": _timestamp(int(ended_at * 1000)),
        "id": exchange.id,
        "trace_id": exchange.trace_id,
        "client": exchange.client,
        "identity": exchange.identity,
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
        "heal": exchange.heal,
        "heal_reason": exchange.heal_reason,
        "spooled": _spooled(exchange) if exchange.spooled is not None else None,
        "stream": exchange.stream,
        "edited": exchange.edited,
        "bytes_in": exchange.bytes_in,
        "bytes_out": exchange.bytes_out,
        "events": exchange.events,
        "input_tokens": exchange.input_tokens,
        "output_tokens": output_tokens,
        "cached_tokens": exchange.cached_tokens,
        "tokens_by": "usage" if output_tokens is not None else "events" if exchange.events else None,
        # Rounded to microseconds: beside so large a number none is left of what is smaller.  round() takes far longer.
        "queued_s": (exchange.queued_s * 1e6 + _LARGE - _LARGE) / 1e6,
        "ttft_s": None if ttft_s is None else (ttft_s * 1e6 + _LARGE - _LARGE) / 1e6,
        "tpot_s": None if tpot_s is None else (tpot_s * 1e6 + _LARGE - _LARGE) / 1e6,
        "duration_s": (stamps.duration_s * 1e6 + _LARGE - _LARGE) / 1e6,
        "phases": {
            name: (took * 1e6 + _LARGE - _LARGE) / 1e6
            for name, took in zip(PHASES, phases(exchange))  # noqa: B905 - strict costs, and a test of phases says it
            if took >= 1e-6
        },
        "tries": [_try(record, stamps.accepted) for record in tries] if _are_told(tries) else None,
        "slow": slow,
        "sample": sample,
    }
    return orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE)


def _spooled(exchange: Exchange) -> dict[str, Any]:
    """What became of an answer in a file, and how much of it was there."""
    return {"outcome": exchange.spooled, "bytes": exchange.spooled_bytes}


def _are_told(tries: list[AttemptRecord]) -> bool:
    """Of one attempt that went well the line says everything already."""
    return len(tries) > 1 or (len(tries) == 1 and tries[0].outcome is not _COMPLETE)


def _try(record: AttemptRecord, accepted: float) -> dict[str, Any]:
    """One attempt, with its stamps counted from the exchange's beginning."""

    def since(at: float | None) -> float | None:
        return None if at is None else round(at - accepted, 6)

    return {
        "replica": record.replica,
        "model": record.model,
        "kind": record.kind,
        "outcome": record.outcome,
        "status": record.status,
        "fault": record.fault,
        "started_s": since(record.started),
        "sent_s": since(record.sent),
        "head_s": since(record.head),
        "first_s": since(record.first),
        "ended_s": since(record.ended),
    }


#: Fractions of a second, as they are written.
_FRACTIONS: Final = [f".{ms:03d}Z" for ms in range(1000)]


def _timestamp(at_ms: int) -> str:
    """RFC 3339, in milliseconds."""
    return _second(at_ms // 1000) + _FRACTIONS[at_ms % 1000]


@lru_cache(maxsize=4)
def _second(at_s: int) -> str:
    """Most lines are of the same second as the line before."""
    return f"{datetime.fromtimestamp(at_s, UTC):%Y-%m-%dT%H:%M:%S}"
