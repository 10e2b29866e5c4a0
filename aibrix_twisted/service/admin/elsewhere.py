"""What one of several workers has to ask the others for: requests are with whichever of them their clients are with."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Protocol, cast

from twisted.internet.defer import Deferred

from aibrix_twisted.service.admin.documents import Denied, Document, error_document, json_document
from aibrix_twisted.service.admin.look import Seen
from aibrix_twisted.service.admin.query import read_query
from aibrix_twisted.service.admin.requests import FILTERS, request_document, requests_document
from aibrix_twisted.service.admin.routing import Routed, explain_document
from aibrix_twisted.service.admin.shapes import Requests

#: What can be asked.
REQUEST: Final = "request"
REQUESTS: Final = "requests"
EXPLAIN: Final = "explain"


class Asks(Seen, Routed, Protocol):
    """The gateway of this process."""

    def ask_elsewhere(self, what: str, about: Any) -> Deferred[list[Any]] | None:
        """Ask all others; C{None}: there are none."""
        ...


def known_to_any(state: Asks, what: str, id: str, own: Callable[[], object]) -> Document | Deferred[Document]:
    """Of one exchange: what this process knows, or else what another does.

    @raise Denied: nobody does.
    """
    try:
        return json_document(own())
    except Denied as denied:
        asked = state.ask_elsewhere(what, id)
        if asked is None:
            raise
        unknown = error_document(denied.status, str(denied), denied.code)
        return asked.addCallback(lambda found: json_document(found[0]) if found else unknown)


def requests_of_all(state: Asks, given: Mapping[bytes, Sequence[bytes]]) -> Document | Deferred[Document]:
    """Those that match, of all.

    @raise Denied: as L{requests_document}.
    """
    own = requests_document(state, given)
    limit = read_query(given, FILTERS).get("limit", 100)
    about = {name.decode("latin-1"): [word.decode("latin-1") for word in words] for name, words in given.items()}
    asked = state.ask_elsewhere(REQUESTS, about)
    if asked is None:
        return json_document(own)
    return asked.addCallback(lambda found: json_document(_together([own, *found], limit)))


def answer_elsewhere(state: Asks, what: str, about: Any) -> Any:
    """What another process asked for; C{None}: nothing is known of it here."""
    try:
        if what == REQUESTS:
            given = {
                name.encode("latin-1"): [word.encode("latin-1") for word in words] for name, words in about.items()
            }
            return requests_document(state, given)
        return request_document(state, about) if what == REQUEST else explain_document(state, about)
    except Denied:
        return None


def _together(documents: Sequence[Requests], limit: int) -> Requests:
    requests = [request for document in documents for request in document["requests"]]
    requests.sort(key=lambda request: request["accepted_at"], reverse=True)
    counts = {
        name: sum(cast("dict[str, int]", document)[name] for document in documents)
        for name in ("under_way", "ended", "kept", "matched")
    }
    return {
        "now": documents[0]["now"],
        "under_way": counts["under_way"],
        "ended": counts["ended"],
        "kept": counts["kept"],
        "matched": counts["matched"],
        "requests": requests[:limit],
    }
