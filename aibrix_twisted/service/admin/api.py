"""The admin API: paths and methods to what is told and done.  L{openapi} describes it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Protocol

import orjson
from twisted.internet.defer import Deferred
from twisted.web.http import Request
from twisted.web.resource import Resource

from aibrix_twisted.service.admin.documents import Denied, Document, Make, Page, error_document, json_document
from aibrix_twisted.service.admin.elsewhere import EXPLAIN, REQUEST, known_to_any, requests_of_all
from aibrix_twisted.service.admin.events import Feed
from aibrix_twisted.service.admin.fleet import FleetDesk
from aibrix_twisted.service.admin.guard import Guard
from aibrix_twisted.service.admin.look import Seen
from aibrix_twisted.service.admin.openapi import openapi_document
from aibrix_twisted.service.admin.requests import request_document
from aibrix_twisted.service.admin.routing import Routed, explain_document, flights_document, route_document
from aibrix_twisted.service.admin.stats import fleet_document, stats_document

#: No table of a replica is longer.
MAX_BODY_BYTES: Final = 1 << 20


class Directory(Resource):
    """Leads to its children; what is none of them is not found."""

    def __init__(self, index: Resource | None = None) -> None:
        super().__init__()
        if index is not None:
            self.putChild(b"", index)

    def getChild(self, path: bytes, request: Request) -> Resource:
        """There is no such path."""
        return _nothing()

    def render(self, request: Request) -> bytes | int:
        """A directory is none of the documents in it."""
        return self.getChild(b"", request).render(request)


class _Replicas(Directory):
    """C{/api/replicas} and below: replicas by name, and what may be done to each."""

    isLeaf = False

    def __init__(self, desk: FleetDesk, guard: Guard) -> None:
        super().__init__()
        self._desk = desk
        self._guard = guard

    def getChild(self, path: bytes, request: Request) -> Resource:
        """A replica, or a verb below it."""
        name = path.decode("utf-8", "replace")
        desk, guard = self._desk, self._guard
        rest: list[bytes] = request.postpath  # type: ignore[attr-defined]  # twisted.web sets it as it walks
        if not name:
            return _nothing()
        if not rest:
            makers: dict[bytes, Make] = {
                b"PUT": lambda request: _put(desk, name, request),
                b"DELETE": lambda _: json_document(desk.remove(name), 202),
            }
            return Page(makers, guard)
        verbs: dict[bytes, Callable[[], object]] = {
            b"drain": lambda: desk.drain(name, on=True),
            b"undrain": lambda: desk.drain(name, on=False),
            b"eject": lambda: desk.eject(name, on=True),
            b"restore": lambda: desk.eject(name, on=False),
        }
        verb = verbs.get(rest[0]) if len(rest) == 1 else None
        if verb is None:
            return _nothing()
        do = verb
        return Page({b"POST": lambda _: json_document(do())}, guard)

    def render(self, request: Request) -> bytes | int:
        """The list, or one more on it."""
        desk = self._desk
        makers: dict[bytes, Make] = {
            b"GET": lambda _: json_document(desk.replicas()),
            b"POST": lambda request: json_document(desk.add(_json(_body(request))), 201),
        }
        return Page(makers, self._guard).render(request)


class _Exchanges(Directory):
    """Something of each exchange by its id, and, where there is such a thing, of all together."""

    isLeaf = False

    def __init__(
        self, guard: Guard, one: Callable[[str], Document | Deferred[Document]], together: Make | None = None
    ) -> None:
        super().__init__()
        self._guard = guard
        self._one = one
        self._together = _nothing() if together is None else Page({b"GET": together}, guard)

    def getChild(self, path: bytes, request: Request) -> Resource:
        """One of them."""
        id, rest = path.decode("utf-8", "replace"), request.postpath  # type: ignore[attr-defined]  # as above
        if not id or rest:
            return _nothing()
        return Page({b"GET": lambda _: self._one(id)}, self._guard)

    def render(self, request: Request) -> bytes | int:
        """All of them."""
        return self._together.render(request)


class AdminState(Seen, Routed, Protocol):
    """What the API tells and changes."""

    def ask_elsewhere(self, what: str, about: Any) -> Deferred[list[Any]] | None:
        """Ask all other processes of the same gateway.

        @return: what they know; C{None}: there are none.
        """
        ...

    @property
    def desk(self) -> FleetDesk:
        """The fleet."""
        ...

    @property
    def feed(self) -> Feed:
        """What readers of events are told."""
        ...

    def reload_for_api(self) -> dict[str, Any]:
        """Re-read the configuration.

        @raise Denied: it cannot be used.
        """
        ...


def api(state: AdminState, guard: Guard) -> Resource:
    """Everything below C{/api}."""
    desk, described = state.desk, json_document(openapi_document())

    def explained(id: str) -> Document | Deferred[Document]:
        return known_to_any(state, EXPLAIN, id, lambda: explain_document(state, id))

    def request_of(id: str) -> Document | Deferred[Document]:
        return known_to_any(state, REQUEST, id, lambda: request_document(state, id))

    def page(method: bytes, make: Make) -> Page:
        return Page({method: make}, guard)

    root = Directory()
    root.putChild(b"requests", _Exchanges(guard, request_of, lambda request: requests_of_all(state, request.args)))
    root.putChild(b"explain", _Exchanges(guard, explained))
    root.putChild(b"route", page(b"POST", lambda request: json_document(route_document(state, _json(_body(request))))))
    root.putChild(b"flights", page(b"GET", lambda _: flights_document(state)))
    root.putChild(b"fleet", page(b"GET", lambda _: json_document(fleet_document(state, desk))))
    root.putChild(b"stats", page(b"GET", lambda _: json_document(stats_document(state))))
    root.putChild(b"events", page(b"GET", lambda request: state.feed.stream(request.args)))
    root.putChild(b"replicas", _Replicas(desk, guard))
    root.putChild(b"models", page(b"GET", lambda _: json_document(desk.models())))
    root.putChild(b"reload", page(b"POST", lambda _: json_document(state.reload_for_api())))
    root.putChild(b"openapi.json", page(b"GET", lambda _: described))
    return root


def _put(desk: FleetDesk, name: str, request: Request) -> Document:
    body = _body(request)
    table = _json(body) if body.strip() else None
    if table is None and body.strip():
        raise Denied(400, "the body: found null, expected a table, or no body at all", "invalid_replica")
    facts, new = desk.put(name, table, _ttl(request))
    return json_document(facts, 201 if new else 200)


def _ttl(request: Request) -> float | None:
    said = request.args.get(b"ttl")
    if not said:
        return None
    try:
        return float(said[-1])
    except ValueError:
        raise Denied(400, f"ttl {said[-1].decode('latin-1')!r}: expected seconds", "invalid_ttl") from None


def _body(request: Request) -> bytes:
    content = request.content
    body = b"" if content is None else content.read(MAX_BODY_BYTES + 1)
    if len(body) > MAX_BODY_BYTES:
        raise Denied(413, f"a body of over {MAX_BODY_BYTES} bytes", "body_too_large")
    return body


def _json(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Denied(400, f"the body is not JSON: {error}", "invalid_body") from None


def _nothing() -> Page:
    def say(request: Request) -> Document:
        return error_document(404, f"there is no path {request.path.decode('latin-1')}", "unknown_path")

    return Page({method: say for method in (b"GET", b"POST", b"PUT", b"DELETE")}, lambda _: None)
