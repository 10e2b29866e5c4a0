"""An exchange that is over as spans: its own, those of its waiting and of each choice, and one of each attempt.

Attributes are OpenTelemetry's where it has one (HTTP, and GenAI, as in the metrics of L{genai}), else C{aibrix.*}.
What engines say of usage stands at the exchange's span only: who adds tokens up over spans must not count them twice.
Never a prompt, an answer, a key, or a query string.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags, TraceState

from aibrix_twisted import __version__
from aibrix_twisted.domain.assembly import Outcome
from aibrix_twisted.domain.attempt import AttemptRecord, Kind
from aibrix_twisted.domain.exchange import Exchange
from aibrix_twisted.service.telemetry.genai import OPERATIONS, PROVIDER
from aibrix_twisted.service.telemetry.metrics import outcome_label
from aibrix_twisted.wire.routes import ROUTES

Attributes = dict[str, str | bool | int | float]

#: Routes to engines.
_RELAYED: Final = frozenset(route.name for route in ROUTES.values())

#: Any other method is a client's own word, and becomes no name.
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE"})

_FAILED: Final = frozenset({Outcome.MALFORMED, Outcome.TRUNCATED, Outcome.BROKEN, Outcome.TIMED_OUT})

#: Whose errors make a span one that failed: what the client did wrong, or that it left, is no failure of ours.
_OURS: Final = frozenset({"engine", "gateway"})

#: Characters of what others may have chosen.
_MAX_TEXT: Final = 1024

_SCOPE: Final = InstrumentationScope("aibrix_twisted", __version__)
_UNSET: Final = Status()
_NO_STATE: Final = TraceState()


class SpanMaker:
    """Makes the spans of one exchange after the other."""

    __slots__ = ("_new_id", "_resource")

    def __init__(self, resource: Resource, new_id: Callable[[], int]) -> None:
        """
        @param resource: whose spans they are.
        @param new_id: of spans that nobody was told of before.
        """
        self._resource = resource
        self._new_id = new_id

    def spans(self, exchange: Exchange, ended_ns: int) -> list[ReadableSpan]:
        """All of them, the exchange's own first.

        @param exchange: one that is over, and has a trace.
        @param ended_ns: when it was, in nanoseconds since 1970.
        """
        stamps, trace = exchange.stamps, exchange.trace
        assert stamps.ended is not None and trace is not None
        ended = stamps.ended

        def at(stamp: float) -> int:
            return ended_ns + int((stamp - ended) * 1e9)

        state = TraceState.from_header([trace.state.decode("latin-1")]) if trace.state else _NO_STATE
        flags = TraceFlags(trace.flags)

        def context(span_id: int, *, remote: bool = False) -> SpanContext:
            return SpanContext(trace.trace_id, span_id, remote, flags, state)

        root = context(trace.span_id)

        def span(
            name: str,
            span_id: int,
            kind: SpanKind,
            start: float,
            end: float,
            attributes: Attributes,
            status: Status = _UNSET,
            events: tuple[Event, ...] = (),
        ) -> ReadableSpan:
            return ReadableSpan(
                _text(name),
                context(span_id),
                root if span_id != trace.span_id else parent,
                self._resource,
                attributes,
                events,
                kind=kind,
                status=status,
                start_time=at(start),
                end_time=at(end),
                instrumentation_scope=_SCOPE,
            )

        parent = context(trace.parent_id, remote=True) if trace.parent_id else None
        made = [
            span(
                _name_of(exchange),
                trace.span_id,
                SpanKind.SERVER,
                stamps.accepted,
                ended,
                _attributes_of(exchange),
                _status_of(exchange),
                _events_of(exchange, at),
            )
        ]
        for start, end in trace.waits:
            made.append(span("queue", self._new_id(), SpanKind.INTERNAL, start, end, {}))
        for record, span_id in zip(exchange.tries, trace.attempts, strict=True):
            policy: Attributes = {"aibrix.policy": exchange.policy}
            made.append(span("route", self._new_id(), SpanKind.INTERNAL, record.ready, record.started, policy))
            made.append(
                span(
                    f"attempt {record.replica}",
                    span_id,
                    SpanKind.CLIENT,
                    record.started,
                    ended if record.ended is None else record.ended,
                    _attributes_of_attempt(record),
                    _status_of_attempt(record),
                    tuple(
                        Event(name, timestamp=at(stamp))
                        for name, stamp in (("sent", record.sent), ("first_byte", record.first))
                        if stamp is not None
                    ),
                )
            )
        return made


def count_of(exchange: Exchange) -> int:
    """How many they are."""
    return 1 + 2 * len(exchange.tries) + (0 if exchange.trace is None else len(exchange.trace.waits))


def _name_of(exchange: Exchange) -> str:
    if not _is_relayed(exchange):
        return f"{exchange.method if exchange.method in _METHODS else 'HTTP'} {exchange.route}"
    operation = OPERATIONS.get(exchange.route, exchange.route)
    return f"{operation} {exchange.model}" if exchange.model else operation


def _is_relayed(exchange: Exchange) -> bool:
    return exchange.method == "POST" and exchange.route in _RELAYED


def _attributes_of(exchange: Exchange) -> Attributes:
    attributes: Attributes = {
        "http.request.method": exchange.method if exchange.method in _METHODS else "_OTHER",
        "url.path": _text(exchange.path),
        "client.address": exchange.client,
        "http.response.status_code": exchange.status,
        "aibrix.request_id": exchange.id,
        "aibrix.outcome": outcome_label(exchange),
    }
    if exchange.error and exchange.error != "client_gone":
        attributes["error.type"] = exchange.error
    elif _is_relayed(exchange) and exchange.status >= 500:
        attributes["error.type"] = str(exchange.status)
    if _is_relayed(exchange):
        attributes |= _generation_of(exchange)
    return attributes


def _generation_of(exchange: Exchange) -> Attributes:
    """What is asked of an engine, and what it says of its answer."""
    attributes: Attributes = {
        "gen_ai.operation.name": OPERATIONS.get(exchange.route, exchange.route),
        "gen_ai.provider.name": PROVIDER,
        "aibrix.attempts": exchange.attempts,
    }
    if exchange.stream:
        attributes["gen_ai.request.stream"] = True
        if exchange.stamps.ttft_s is not None:
            attributes["gen_ai.response.time_to_first_chunk"] = exchange.stamps.ttft_s
    for name, text in (
        ("gen_ai.request.model", exchange.model),
        ("aibrix.replica", exchange.replica),
        ("aibrix.policy", exchange.policy),
        ("aibrix.edited", ",".join(exchange.edited)),
    ):
        if text:
            attributes[name] = _text(text)
    for name, tokens in (
        ("gen_ai.usage.input_tokens", exchange.input_tokens),
        ("gen_ai.usage.output_tokens", exchange.output_tokens),
        ("gen_ai.usage.cache_read.input_tokens", exchange.cached_tokens),
    ):
        if tokens is not None:
            attributes[name] = tokens
    return attributes


def _status_of(exchange: Exchange) -> Status:
    if exchange.error.partition("_")[0] in _OURS:
        return Status(StatusCode.ERROR, _text(exchange.reason))
    if _is_relayed(exchange) and exchange.status >= 500:
        return Status(StatusCode.ERROR, f"a replica answered with {exchange.status}")
    return _UNSET


def _events_of(exchange: Exchange, at: Callable[[float], int]) -> tuple[Event, ...]:
    """What happened to it, in its order."""
    stamps = exchange.stamps
    events = [
        Event(name, timestamp=at(stamp))
        for name, stamp in (("read", stamps.read), ("first_byte", stamps.first_byte))
        if stamp is not None
    ]
    for record in exchange.tries:
        if record.kind is not Kind.FIRST:
            events.append(Event(record.kind, {"aibrix.replica": _text(record.replica)}, at(record.ready)))
    return tuple(sorted(events, key=lambda event: event.timestamp))


def _attributes_of_attempt(record: AttemptRecord) -> Attributes:
    attributes: Attributes = {
        "aibrix.replica": _text(record.replica),
        "aibrix.attempt.kind": record.kind,
        "gen_ai.request.model": _text(record.model),
    }
    if record.status:
        attributes["http.response.status_code"] = record.status
    if record.outcome is not None:
        attributes["aibrix.attempt.outcome"] = record.outcome
    if record.outcome in _FAILED:
        attributes["error.type"] = record.outcome
    elif record.status >= 400:
        attributes["error.type"] = str(record.status)
    return attributes


def _status_of_attempt(record: AttemptRecord) -> Status:
    if record.outcome in _FAILED or record.status >= 400:
        return Status(StatusCode.ERROR, _text(record.fault) or None)
    return _UNSET


def _text(text: str) -> str:
    """What can be sent: of a bounded length, and without halves of characters."""
    text = text[:_MAX_TEXT]
    return text if text.isascii() else text.encode("utf-8", "replace").decode()
