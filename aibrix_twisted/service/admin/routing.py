"""Why a replica was chosen, which one would be, and decisions as a trace that can be replayed.  Hashes, never text."""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from typing import Any, Final, Protocol

import orjson

from aibrix_twisted.domain.exchange import Exchange
from aibrix_twisted.domain.fleet import Fleet
from aibrix_twisted.domain.settings import Settings
from aibrix_twisted.domain.timing import Stamps
from aibrix_twisted.errors import GatewayError
from aibrix_twisted.policy.candidates import Lack
from aibrix_twisted.service.admin.documents import Denied, Document
from aibrix_twisted.service.admin.look import timestamp
from aibrix_twisted.service.admin.route_shapes import Decision, Explanation, RouteAnswer
from aibrix_twisted.service.exchange import admit
from aibrix_twisted.service.exchange.choose import Chooser
from aibrix_twisted.service.exchange.flights import Flight
from aibrix_twisted.service.telemetry.metrics import outcome_label
from aibrix_twisted.wire.routes import ROUTES, Route

JSON_LINES: Final = "application/x-ndjson"

_USUAL_PATH: Final = "/v1/chat/completions"


class Routed(Protocol):
    """What is looked at."""

    @property
    def chooser(self) -> Chooser:
        """Who decides, and what was decided."""
        ...

    @property
    def fleet(self) -> Fleet:
        """The fleet as it is now."""
        ...

    @property
    def settings(self) -> Settings:
        """Those in force now."""
        ...

    @property
    def now(self) -> float:
        """By the reactor's clock."""
        ...

    def wall(self) -> float:
        """Seconds since 1970."""
        ...


def explain_document(state: Routed, id: str) -> Explanation:
    """Of the newest exchange with this id.

    @raise Denied: nothing is recorded of it, or not any more.
    """
    flights = state.chooser.flights.of(id)
    if not flights:
        raise Denied(404, f"no decision for a request {id!r} is recorded, or not any more", "request_not_found")
    exchange, started = flights[0].exchange, state.wall() - state.now
    over = exchange.stamps.ended is not None
    ended = exchange.stamps.ended if exchange.stamps.ended is not None else state.now
    return {
        "id": exchange.id,
        "model": exchange.model,
        "decisions": [{**_decision(flight), "at": timestamp(started + flight.at)} for flight in flights],
        "replica": exchange.replica,
        "attempts": exchange.attempts,
        "status": exchange.status if over else None,
        "outcome": outcome_label(exchange) if over else None,
        "ttft_s": exchange.stamps.ttft_s,
        "duration_s": ended - exchange.stamps.accepted,
    }


def route_document(state: Routed, question: Any) -> RouteAnswer:
    """Where a request would go.  Nothing is sent, and nothing is changed.

    @raise Denied: the question is none.
    """
    route, fields, body = _question(question)
    answer: RouteAnswer = {"policy": "", "profile": "", "decision": None, "lack": None, "refused": None}
    try:
        asked = admit.read(route, fields, body, admit.bounds_of(state.settings.limits))
        model = admit.model_of(asked, state.fleet, 0.0)
        if model is None:
            return {**answer, "lack": Lack.DOWN.value}
        routing = state.chooser.routing(model, fields, asked, body)
        answer["policy"], answer["profile"] = routing.plan.strategy.said, routing.plan.profile
        nobody = Exchange("", "", "POST", route.path.decode(), route.name, Stamps(state.now))
        lack: Lack | None = None
        for name in (model, *state.fleet.fallbacks(model)):
            found = state.chooser.choose(nobody, routing, name, state.fleet, {}, dry=True)
            if isinstance(found, Flight):
                return {**answer, "decision": _decision(found)}
            lack = lack or found
        return {**answer, "lack": None if lack is None else lack.value}
    except GatewayError as error:
        refused = {"status": error.status, "message": str(error), "param": error.param, "code": error.said_code}
        return {**answer, "refused": refused}  # type: ignore[typeddict-item]


def flights_document(state: Routed) -> Document:
    """What was decided of exchanges that are over, each a line that C{aibrixctl simulate} can replay."""
    block_bytes = state.chooser.settings.prefix_cache.block_bytes
    seen: set[int] = set()
    lines = []
    for flight in state.chooser.flights:
        exchange = flight.exchange
        if exchange.stamps.ended is not None and id(exchange) not in seen:
            seen.add(id(exchange))
            lines.append(orjson.dumps(_line(flight, block_bytes)) + b"\n")
    return Document(b"".join(lines), JSON_LINES)


def _line(flight: Flight, block_bytes: int) -> dict[str, Any]:
    """One request: what of its size is not known is taken from what is."""
    exchange, prompt = flight.exchange, flight.ask.prompt
    length = prompt.length or exchange.bytes_in
    tokens = exchange.input_tokens
    return {
        "timestamp": round(exchange.stamps.accepted * 1000.0, 3),
        "input_length": -(-length // 4) if tokens is None else tokens,
        "input_bytes": length,
        "output_length": exchange.output_tokens or exchange.events or 1,
        "hash_ids": list(prompt.hashes),
        "block_bytes": block_bytes,
        "model": exchange.model,
        "policy": exchange.policy,
        "replica": exchange.replica,
        "ttft_s": exchange.stamps.ttft_s,
    }


def _decision(flight: Flight) -> Decision:
    choice, prompt = flight.choice, flight.ask.prompt
    return {
        "policy": flight.policy.name,
        "model": flight.model,
        "replica": choice.replica.name,
        "prompt": {"bytes": prompt.length, "blocks": len(prompt.hashes)},
        "fallbacks": [{"policy": fallback.policy, "reason": fallback.reason} for fallback in choice.fallbacks],
        "candidates": [
            {
                "replica": replica.name,
                "figures": {
                    name: float(figures[place]) if isfinite(figures[place]) else None
                    for name, figures in choice.why.items()
                },
            }
            for place, replica in enumerate(flight.candidates)
        ],
    }


def _question(question: Any) -> tuple[Route, dict[bytes, bytes], bytes]:
    if not isinstance(question, dict):
        raise Denied(400, "the body: expected a table with path, headers and body", "invalid_question")
    unknown = [key for key in question if key not in ("path", "headers", "body")]
    if unknown:
        raise Denied(400, f"found {unknown[0]!r}, expected path, headers or body", "invalid_question")
    path, headers, body = question.get("path", _USUAL_PATH), question.get("headers", {}), question.get("body")
    route = ROUTES.get(path.encode()) if isinstance(path, str) else None
    if route is None or route.multipart:
        raise Denied(400, f"path: found {path!r}, expected a path that takes JSON", "invalid_question", param="path")
    if not isinstance(body, dict):
        raise Denied(400, "body: expected the request's body, a JSON object", "invalid_question", param="body")
    return route, _fields(headers), orjson.dumps(body)


def _fields(headers: Any) -> dict[bytes, bytes]:
    if not isinstance(headers, Mapping):
        raise Denied(400, "headers: expected a table of texts", "invalid_question", param="headers")
    fields = {}
    for name, value in headers.items():
        if not isinstance(value, str) or not value.isascii() or (value and not value.isprintable()):
            raise Denied(400, f"headers: {name}: expected a text of visible ASCII", "invalid_question", param="headers")
        fields[name.lower().encode()] = value.encode()
    return fields
