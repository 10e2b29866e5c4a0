"""What the admin listener serves: documents that are made when they are asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import orjson
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import CollectorRegistry
from twisted.internet.defer import CancelledError, Deferred
from twisted.web.http import Request
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

from aibrix_twisted.service.owned import log_failure_of
from aibrix_twisted.wire.error_object import error_object

JSON: Final = "application/json"


@dataclass(frozen=True, slots=True)
class Document:
    """One answer."""

    body: bytes
    content_type: str = JSON
    status: int = 200


class Denied(Exception):
    """What was asked is not done.

    @ivar code: OpenAI's C{code}.
    @ivar problems: one line each, where there are several.
    @ivar param: what of the request is at fault, where one thing is.
    """

    def __init__(
        self, status: int, message: str, code: str, problems: Sequence[str] = (), *, param: str | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.problems = list(problems)
        self.param = param


@dataclass(frozen=True, slots=True)
class Stream:
    """An answer without an end of its own.

    @ivar begin: takes the request, whose head is written by its first write, and finishes it some time.
    """

    begin: Callable[[Request], None]
    content_type: str


Make = Callable[[Request], "Document | Stream | Deferred[Document]"]


class Page(Resource):
    """A path, and what its methods do."""

    isLeaf = True

    def __init__(self, makers: Mapping[bytes, Make], guard: Callable[[Request], None]) -> None:
        """
        @param makers: by method; HEAD is GET without a body.
        @param guard: asked before every method but GET and HEAD; raises L{Denied}.
        """
        super().__init__()
        self._makers = dict(makers)
        if b"GET" in self._makers:
            self._makers[b"HEAD"] = self._makers[b"GET"]
        self._guard = guard

    def render(self, request: Request) -> bytes | int:
        """Do it, or say why not."""
        try:
            document = self._answer(request)
        except Denied as denied:
            document = error_document(denied.status, str(denied), denied.code, denied.problems, denied.param)
            if denied.status == 401:
                request.setHeader("www-authenticate", "Bearer")
        if isinstance(document, Stream):
            return _begun(document, request)
        if isinstance(document, Deferred):
            return _later(document, request)
        return _headed(document, request)

    def _answer(self, request: Request) -> Document | Stream | Deferred[Document]:
        make = self._makers.get(request.method)
        if make is None:
            allowed = b", ".join(self._makers).decode()
            request.setHeader("allow", allowed)
            method = request.method.decode("latin-1")
            raise Denied(405, f"this path takes {allowed}, not {method}", "method_not_allowed")
        if request.method not in (b"GET", b"HEAD"):
            self._guard(request)
        return make(request)


def _headed(document: Document, request: Request) -> bytes:
    """Say what it is.

    @return: its body, as far as it is wanted.
    """
    request.setResponseCode(document.status)
    request.setHeader("content-type", document.content_type)
    request.setHeader("content-length", str(len(document.body)))
    request.setHeader("cache-control", "no-store")
    return b"" if request.method == b"HEAD" else document.body


def _later(made: Deferred[Document], request: Request) -> int:
    """Answer when it is there; whoever has left by then is told nothing."""
    gone = request.notifyFinish()
    _ = gone.addErrback(lambda _: made.cancel())

    def answer(document: Document) -> None:
        request.write(_headed(document, request))
        request.finish()

    _ = made.addCallbacks(answer, lambda failure: failure.trap(CancelledError))
    log_failure_of(made, "answering on the admin listener")
    return NOT_DONE_YET


def _begun(stream: Stream, request: Request) -> bytes | int:
    request.setHeader("content-type", stream.content_type)
    request.setHeader("cache-control", "no-store")
    request.setHeader("x-accel-buffering", "no")  # a proxy in between is to pass it on as it comes
    if request.method == b"HEAD":
        return b""
    stream.begin(request)
    return NOT_DONE_YET


def json_document(value: object, status: int = 200) -> Document:
    """Anything that JSON can say."""
    return Document(orjson.dumps(value), status=status)


def error_document(
    status: int, message: str, code: str, problems: Sequence[str] = (), param: str | None = None
) -> Document:
    """OpenAI's error object, here too; with C{problems} beside it where there are several."""
    value: dict[str, object] = {"error": error_object(message, status, param, code)}
    if problems:
        value["problems"] = list(problems)
    return json_document(value, status)


def metrics_document(request: Request, registry: CollectorRegistry) -> Document:
    """All metrics, in the format that the scraper prefers."""
    accept = request.getHeader(b"accept") or b""
    encode, content_type = choose_encoder(accept.decode("latin-1"))
    return Document(encode(registry), content_type)
