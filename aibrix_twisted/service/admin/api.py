"""The admin API: paths and methods to what is told and done."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import orjson
from twisted.web.http import Request
from twisted.web.resource import Resource

from aibrix_twisted.service.admin.documents import Denied, Document, Make, Page, error_document, json_document
from aibrix_twisted.service.admin.fleet import FleetDesk
from aibrix_twisted.service.admin.guard import Guard

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

    def render(self, request: Request) -> bytes:
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
        verbs: dict[bytes, Callable[[], dict[str, Any]]] = {
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

    def render(self, request: Request) -> bytes:
        """The list, or one more on it."""
        desk = self._desk
        makers: dict[bytes, Make] = {
            b"GET": lambda _: json_document(desk.replicas()),
            b"POST": lambda request: json_document(desk.add(_table(request)), 201),
        }
        return Page(makers, self._guard).render(request)


def api(desk: FleetDesk, reload: Callable[[], dict[str, Any]], guard: Guard) -> Resource:
    """Everything below C{/api}.

    @param reload: re-reads the configuration; raises L{Denied}.
    """
    root = Directory()
    root.putChild(b"replicas", _Replicas(desk, guard))
    root.putChild(b"models", Page({b"GET": lambda _: json_document(desk.models())}, guard))
    root.putChild(b"reload", Page({b"POST": lambda _: json_document(reload())}, guard))
    return root


def _put(desk: FleetDesk, name: str, request: Request) -> Document:
    facts, new = desk.put(name, _table(request, empty=True), _ttl(request))
    return json_document(facts, 201 if new else 200)


def _ttl(request: Request) -> float | None:
    said = request.args.get(b"ttl")
    if not said:
        return None
    try:
        return float(said[-1])
    except ValueError:
        raise Denied(400, f"ttl {said[-1].decode('latin-1')!r}: expected seconds", "invalid_ttl") from None


def _table(request: Request, *, empty: bool = False) -> Any:
    """The body's JSON; C{None} where an empty one is allowed, and it is."""
    content = request.content
    body = b"" if content is None else content.read(MAX_BODY_BYTES + 1)
    if len(body) > MAX_BODY_BYTES:
        raise Denied(413, f"a body of over {MAX_BODY_BYTES} bytes", "body_too_large")
    if empty and not body.strip():
        return None
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Denied(400, f"the body is not JSON: {error}", "invalid_body") from None


def _nothing() -> Page:
    def say(request: Request) -> Document:
        return error_document(404, f"there is no path {request.path.decode('latin-1')}", "unknown_path")

    return Page({method: say for method in (b"GET", b"POST", b"PUT", b"DELETE")}, lambda _: None)
