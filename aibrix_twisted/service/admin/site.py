"""The admin listener: its paths, on twisted.web, away from the data path."""

from __future__ import annotations

from io import BytesIO
from typing import Final, Protocol

from prometheus_client.registry import CollectorRegistry
from twisted.web.http import Request
from twisted.web.server import Request as ServerRequest
from twisted.web.server import Site

from aibrix_twisted import __version__
from aibrix_twisted.service.admin.api import MAX_BODY_BYTES, AdminState, Directory, api
from aibrix_twisted.service.admin.documents import Document, Make, Page, metrics_document
from aibrix_twisted.service.admin.guard import Guard
from aibrix_twisted.service.telemetry.exposition import registry_of


class GatewayState(AdminState, Protocol):
    """What the admin pages read and change."""

    @property
    def admin_token(self) -> str:
        """What changes from other hosts need; empty: they are refused."""
        ...


_FRONT: Final = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>aibrix-gateway</title>
<h1>aibrix-gateway {version}</h1>
<ul>
<li><a href="/api/stats">/api/stats</a>: how it is, and how it did over the last seconds
<li><a href="/api/requests">/api/requests</a>: requests under way, and the last that are over
<li><a href="/api/fleet">/api/fleet</a>: the engines, and what is under way there
<li><a href="/api/models">/api/models</a>: what they serve
<li><a href="/api/events">/api/events</a>: what happens, as it happens
<li><a href="/api/openapi.json">/api/openapi.json</a>: all of the API
<li><a href="/metrics">/metrics</a>: for Prometheus
<li><a href="/readyz">/readyz</a>: can it serve?
<li><a href="/healthz">/healthz</a>: does it live?
</ul>
"""


class _BoundedRequest(ServerRequest):
    """Keeps no more of a body than shows that there is too much: a body is read before anyone asks who sends it."""

    def process(self) -> None:
        """It is there.  Of several workers, which one answers is said."""
        worker = self.channel.site.worker  # type: ignore[attr-defined]  # twisted.web sets it
        if worker:
            self.setHeader("x-aibrix-worker", worker)
        super().process()

    def gotLength(self, length: int | None) -> None:
        """A body is kept in memory: twisted.web has a file for a long one, and there may be no place for files."""
        self.content = BytesIO()

    def handleContentChunk(self, data: bytes) -> None:
        """Some of the body."""
        content = self.content
        if content is not None:
            content.write(data[: MAX_BODY_BYTES + 1 - content.tell()])


class AdminSite(Site):
    """Keeps no log of who looked: probes and scrapes would be most of it.

    @ivar worker: which one of several this is; empty: there is one.
    """

    noisy = False
    worker = ""
    requestFactory = _BoundedRequest

    def log(self, request: Request) -> None:
        """Say nothing."""


def admin_site(state: GatewayState, registry: CollectorRegistry | None = None) -> AdminSite:
    """The whole site.

    @param registry: what is exposed as C{/metrics}; C{None}: of this gateway alone.
    """
    exposed = registry or registry_of(state)
    guard = Guard(lambda: state.admin_token)
    front = Document(_FRONT.format(version=__version__).encode(), "text/html; charset=utf-8")

    def page(make: Make) -> Page:
        return Page({b"GET": make}, guard)

    root = Directory(page(lambda _: front))
    root.putChild(b"metrics", page(lambda request: metrics_document(request, exposed)))
    root.putChild(b"healthz", page(lambda _: Document(b'{"status":"ok"}')))
    root.putChild(b"readyz", page(lambda _: _readiness(state)))
    root.putChild(b"api", api(state, guard))
    return AdminSite(root)


def _readiness(state: GatewayState) -> Document:
    ready, why = state.readiness()
    return Document(why, status=200 if ready else 503)
