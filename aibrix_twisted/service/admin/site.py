"""The admin listener: its paths, on twisted.web, away from the data path."""

from __future__ import annotations

from typing import Final, Protocol

from twisted.web.http import Request
from twisted.web.resource import Resource
from twisted.web.server import Site

from aibrix_twisted import __version__
from aibrix_twisted.service.admin.documents import (
    Document,
    Page,
    error_document,
    metrics_document,
    replicas_document,
)
from aibrix_twisted.service.telemetry.exposition import Gauged, registry_of


class GatewayState(Gauged, Protocol):
    """What the admin pages read."""

    def readiness(self) -> tuple[bool, bytes]:
        """Whether requests can be served, and a document that says why."""
        ...


_FRONT: Final = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>aibrix-gateway</title>
<h1>aibrix-gateway {version}</h1>
<ul>
<li><a href="/api/replicas">/api/replicas</a>: the engines, and what is under way there
<li><a href="/metrics">/metrics</a>: for Prometheus
<li><a href="/readyz">/readyz</a>: can it serve?
<li><a href="/healthz">/healthz</a>: does it live?
</ul>
"""


class _Directory(Resource):
    """Leads to its children; what is none of them is not found."""

    def __init__(self, index: Resource | None = None) -> None:
        super().__init__()
        if index is not None:
            self.putChild(b"", index)

    def getChild(self, path: bytes, request: Request) -> Resource:
        """There is no such path."""
        return Page(lambda request: error_document(404, f"there is no path {request.path.decode()}", "unknown_path"))

    def render(self, request: Request) -> bytes:
        """A directory is none of the documents in it."""
        return self.getChild(b"", request).render(request)


class _QuietSite(Site):
    """Keeps no log of who looked: probes and scrapes would be most of it."""

    noisy = False

    def log(self, request: Request) -> None:
        """Say nothing."""


def admin_site(state: GatewayState) -> Site:
    """The whole site."""
    registry = registry_of(state)
    front = Document(_FRONT.format(version=__version__).encode(), "text/html; charset=utf-8")
    root = _Directory(Page(lambda request: front))
    root.putChild(b"metrics", Page(lambda request: metrics_document(request, registry)))
    root.putChild(b"healthz", Page(lambda request: Document(b'{"status":"ok"}')))
    root.putChild(b"readyz", Page(lambda request: _readiness(state)))
    api = _Directory()
    api.putChild(b"replicas", Page(lambda request: replicas_document(state.fleet)))
    root.putChild(b"api", api)
    return _QuietSite(root)


def _readiness(state: GatewayState) -> Document:
    ready, why = state.readiness()
    return Document(why, status=200 if ready else 503)
