"""Requests under way, and the last that are over: found by what they are like, or by their id."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from heapq import nlargest
from itertools import chain
from typing import Any, Final

from aibrix_twisted.domain.assembly import Outcome
from aibrix_twisted.domain.exchange import Exchange
from aibrix_twisted.service.admin.documents import Denied
from aibrix_twisted.service.admin.exchanges import age_s, request_of, timeline_of
from aibrix_twisted.service.admin.look import Seen, timestamp
from aibrix_twisted.service.admin.query import Parameter, a_count, a_text, a_time, one_of, read_query, seconds
from aibrix_twisted.service.admin.shapes import Requests, Timeline
from aibrix_twisted.service.telemetry.labels import ERROR_TYPES
from aibrix_twisted.service.telemetry.metrics import outcome_label

#: Any error at all.
ANY: Final = "any"

FILTERS: Final[tuple[Parameter, ...]] = (
    one_of("state", "Those under way, those over, or both, which is the default.", ("now", "past", "all")),
    a_text("model", "Of this model, by its own name."),
    a_text("replica", "That were tried at this replica."),
    one_of("outcome", "That ended so.", (*Outcome, "refused")),
    one_of("error", "That have this error; any: that have one.", (ANY, *ERROR_TYPES)),
    seconds("min_seconds", "That took so long, or have been under way for so long."),
    a_time("since", "Those that ended then or later, and those under way."),
    a_count("limit", "How many are listed, newest first.", 1, 10000, 100),
)


def requests_document(seen: Seen, given: Mapping[bytes, Sequence[bytes]]) -> Requests:
    """Those that match.

    @param given: the query.
    @raise Denied: a filter is not known, or not what is expected.
    """
    asked = read_query(given, FILTERS)
    book, now, wall = seen.book, seen.now, seen.wall()
    matching = _matching(asked, now, wall)
    found = [exchange for exchange in _of_state(seen, asked.get("state", "all")) if matching(exchange)]
    listed = nlargest(asked.get("limit", 100), found, key=lambda exchange: exchange.stamps.accepted)
    return {
        "now": timestamp(wall),
        "under_way": len(book.current),
        "ended": book.ended,
        "kept": len(book.past),
        "matched": len(found),
        "requests": [request_of(exchange, now, wall) for exchange in listed],
    }


def request_document(seen: Seen, id: str) -> Timeline:
    """One; of two with one id, the newer.

    @raise Denied: it is not known, or not any more.
    """
    exchange = seen.book.find(id)
    if exchange is None:
        kept = seen.book.past.maxlen
        message = f"there is no request {id!r} under way or among the last {kept} that are over"
        raise Denied(404, message, "request_not_found")
    return timeline_of(exchange, seen.now, seen.wall())


def _of_state(seen: Seen, state: str) -> Iterable[Exchange]:
    book = seen.book
    if state == "now":
        return book.current
    return book.past if state == "past" else chain(book.current, book.past)


def _matching(asked: Mapping[str, Any], now: float, wall: float) -> Callable[[Exchange], bool]:
    """All filters at once."""
    tests: list[Callable[[Exchange], bool]] = []
    if "model" in asked:
        tests.append(lambda exchange: exchange.model == asked["model"])
    if "replica" in asked:
        tests.append(lambda exchange: _was_at(exchange, asked["replica"]))
    if "outcome" in asked:
        tests.append(lambda exchange: exchange.stamps.ended is not None and outcome_label(exchange) == asked["outcome"])
    if "error" in asked:
        wanted = asked["error"]
        tests.append(lambda exchange: bool(exchange.error) if wanted == ANY else exchange.error == wanted)
    if "min_seconds" in asked:
        tests.append(lambda exchange: age_s(exchange, now) >= asked["min_seconds"])
    if "since" in asked:
        since = asked["since"] - wall + now
        tests.append(lambda exchange: exchange.stamps.ended is None or exchange.stamps.ended >= since)
    return lambda exchange: all(test(exchange) for test in tests)


def _was_at(exchange: Exchange, replica: str) -> bool:
    return exchange.replica == replica or any(record.replica == replica for record in exchange.tries)
