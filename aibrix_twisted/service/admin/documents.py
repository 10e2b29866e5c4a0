"""What the admin listener serves: documents that are made when they are asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import orjson
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import CollectorRegistry
from twisted.web.http import Request
from twisted.web.resource import Resource

from aibrix_twisted.domain.fleet import Fleet
from aibrix_twisted.wire.error_object import error_body

JSON: Final = "application/json"


@dataclass(frozen=True, slots=True)
class Document:
    """One answer."""

    body: bytes
    content_type: str = JSON
    status: int = 200


class Page(Resource):
    """A path that is read with GET or HEAD."""

    isLeaf = True

    def __init__(self, make: Callable[[Request], Document]) -> None:
        super().__init__()
        self._make = make

    def render(self, request: Request) -> bytes:
        """Make the document, or say that it is only read."""
        if request.method in (b"GET", b"HEAD"):
            document = self._make(request)
        else:
            request.setHeader("allow", "GET, HEAD")
            method = request.method.decode("latin-1")
            document = error_document(405, f"this path takes GET, not {method}", "method_not_allowed")
        request.setResponseCode(document.status)
        request.setHeader("content-type", document.content_type)
        request.setHeader("content-length", str(len(document.body)))
        request.setHeader("cache-control", "no-store")
        return b"" if request.method == b"HEAD" else document.body


def error_document(status: int, message: str, code: str) -> Document:
    """OpenAI's error object, here too."""
    return Document(error_body(message, status, None, code), status=status)


def metrics_document(request: Request, registry: CollectorRegistry) -> Document:
    """All metrics, in the format that the scraper prefers."""
    encode, content_type = choose_encoder(request.getHeader("accept") or "")
    return Document(encode(registry), content_type)


def replicas_document(fleet: Fleet) -> Document:
    """What is known of each replica."""
    return Document(orjson.dumps({"replicas": [_replica_facts(replica) for replica in fleet.replicas]}))


def _replica_facts(replica: Any) -> dict[str, Any]:
    return {
        "name": replica.name,
        "url": replica.url,
        "engine": replica.engine or None,
        "models": replica.models,
        "up": replica.up,
        "in_flight": replica.load.in_flight,
        "leased": replica.load.leased,
        "labels": replica.labels,
        "last_error": replica.last_error or None,
    }
