"""What is fuzzed: a function for each parser of wire/, which takes any bytes and fails where a rule does not hold.

The first byte of what a target takes says where the rest is cut in two; a parser must not mind where.  Where another
reader of the same language is at hand (h11, the standard library's json), it is asked, too: what we take of a request
or of a response it must take, and read as we do.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Final

import h11
import orjson

from aibrix_twisted.wire.bounds import BadRequest
from aibrix_twisted.wire.chunked import ChunkedBody
from aibrix_twisted.wire.continuation import CannotContinue, Target, continuation, limit_of
from aibrix_twisted.wire.engine_metrics import read, read_orca
from aibrix_twisted.wire.head import BadMessage, RequestHead, ResponseHead, parse_request_head, parse_response_head
from aibrix_twisted.wire.jsonbody import WholeBody
from aibrix_twisted.wire.kept import Kept
from aibrix_twisted.wire.models import NoModelList, engine_of, entries_of, model_list
from aibrix_twisted.wire.multipart import BadForm, boundary_of, fields_of
from aibrix_twisted.wire.openai import peek
from aibrix_twisted.wire.prompt_text import prompt_text
from aibrix_twisted.wire.remembered import LastHead, read_request_head, read_response_head
from aibrix_twisted.wire.request import RequestParser
from aibrix_twisted.wire.respell import Diverged, Respeller, closing
from aibrix_twisted.wire.response import ResponseParser
from aibrix_twisted.wire.retry_after import retry_after
from aibrix_twisted.wire.routes import ROUTES, Dialect
from aibrix_twisted.wire.splice import ask_for_ids, force_include_usage, set_form_model, set_model
from aibrix_twisted.wire.sse import SSEParser, TooLong, read_event
from aibrix_twisted.wire.stream import StreamWatch
from aibrix_twisted.wire.told import read as told_by
from aibrix_twisted.wire.traceparent import is_sampled, parse_traceparent, traceparent
from aibrix_twisted.wire.usage import merged, usage_of

#: What RFC 9112 has us take and h11 does not: an empty line before a request (§2.2), space before a chunk's extension
#: (§7.1.1), more than twenty digits of a chunk's size, most of them zeros (§7.1); and what we drop unread and h11 looks
#: into: trailers that speak of framing.
_BEYOND_H11: Final = re.compile(
    rb"\A\r\n|\r\n\r\n\r\n|[0-9a-f][ \t]+;|\r\n[0-9a-f]{21}|\r\n0+(?:[ \t]*;[^\r]*)?\r\n(?:[^\r]+\r\n)*?(?:content-length|transfer-encoding|host)[^\r]*:",
    re.IGNORECASE,
)

CHAT: Final = ROUTES[b"/v1/chat/completions"]


def cut(data: bytes) -> tuple[bytes, list[list[bytes]]]:
    """The bytes, and ways in which they come."""
    at, data = (data[0] if data else 0), data[1:]
    at = at % (len(data) + 1)
    single = [data[n : n + 1] for n in range(len(data))] if len(data) <= 160 else [data[:1], data[1:]]
    ways = [[data], [data[:at], data[at:]], single]
    return data, [[piece for piece in way if piece] for way in ways]


def agreed(results: Iterable[Any]) -> Any:
    """What came of it each time, which must be the same."""
    first, *others = results
    for other in others:
        assert other == first, f"it matters where it is cut: {first!r} or {other!r}"
    return first


# -- messages --------------------------------------------------------------------------------------------------------


class _Requests:
    """Hears of requests."""

    def __init__(self) -> None:
        self.parser = RequestParser(self, max_head_bytes=2048, max_line_bytes=512, max_headers=20, max_bytes=4096)
        self.heard: list[tuple[str, bytes, bytes, bool]] = []
        self.body = b""
        self.head: RequestHead | None = None

    def request_head(self, head: RequestHead) -> None:
        self.head, self.body = head, b""

    def request_body(self, data: bytes) -> None:
        assert data
        self.body += data

    def request_complete(self) -> None:
        head = self.head
        assert head is not None
        self.heard.append((head.method, head.path + head.query, self.body, head.keep_alive))

    def read(self, pieces: list[bytes]) -> tuple[list[tuple[str, bytes, bytes, bool]], bool]:
        """What it heard, and whether it was refused in the end."""
        try:
            for piece in pieces:
                self.parser.feed(piece)
                while self.parser.complete:
                    self.parser.next()
        except BadMessage as bad:
            assert bad.status in (400, 413, 414, 417, 431, 501, 505) and bad.reason and str(bad)
            return self.heard, True
        return self.heard, False


def request(data: bytes) -> None:
    """Requests, one after the other; as h11 reads them."""
    data, ways = cut(data)
    heard, _ = agreed(_Requests().read(pieces) for pieces in ways)
    if _BEYOND_H11.search(data) is not None:
        return
    reader = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 20)
    reader.receive_data(data)
    for method, target, body, keep_alive in heard:
        if reader.trailing_data[0].startswith(b"\r\n"):
            return
        found = reader.next_event()
        assert isinstance(found, h11.Request), f"h11 does not take it: {found!r}"
        theirs = b""
        event = reader.next_event()
        while isinstance(event, h11.Data):
            theirs += bytes(event.data)
            event = reader.next_event()
        assert isinstance(event, h11.EndOfMessage), f"h11 sees no end: {event!r}"
        assert (found.method.decode(), theirs) == (method, body)
        if found.target.startswith(b"/"):
            assert found.target == target
        if not keep_alive:
            return
        reader.send(h11.Response(status_code=200, headers=[("content-length", "0")]))
        reader.send(h11.EndOfMessage())
        if reader.our_state is not h11.DONE:
            return  # h11 would close: for CONNECT, say
        reader.start_next_cycle()


def request_head(data: bytes) -> None:
    """One head, read anew and remembered: the same."""
    raw = data + b"\r\n\r\n"
    found = _either(parse_request_head, partial(read_request_head, last=LastHead()), raw, (400, 417, 431, 501, 505))
    if isinstance(found, RequestHead):
        assert all(b"\r" not in line and b"\n" not in line for line in found.onward.split(b"\r\n"))
        assert found.path.startswith(b"/") or found.path == b"*"


def response_head(data: bytes) -> None:
    """The same of responses."""
    raw = data + b"\r\n\r\n"
    found = _either(parse_response_head, partial(read_response_head, last=LastHead()), raw, (502,))
    if isinstance(found, ResponseHead):
        assert 100 <= found.status <= 599
        assert retry_after(found) >= 0.0


def _either(anew: Any, remembered: Any, raw: bytes, statuses: tuple[int, ...]) -> Any:
    said = []
    for reader in (anew, remembered, remembered):
        try:
            head = reader(raw, max_headers=20)
            said.append((head.onward, head.keep_alive, head.content_length, head.fields.get(b"host")))
        except BadMessage as bad:
            assert bad.status in statuses
            said.append((bad.status, bad.reason, str(bad)))
            head = None
    agreed(said)
    return head


class _Response:
    """Hears of a response."""

    def __init__(self) -> None:
        self.body = b""
        self.status = 0
        self.ended = 0
        self.parser = ResponseParser(self, self.more, max_bytes=2048, max_headers=20)

    def more(self, data: bytes) -> None:
        assert data and self.status and not self.ended
        self.body += data

    def response_head(self, head: ResponseHead) -> None:
        assert not self.status
        self.status = head.status

    def response_complete(self) -> None:
        self.ended += 1

    def read(self, pieces: list[bytes]) -> tuple[int, bytes, int, bool]:
        """What it heard: status, body, ends; and whether it broke."""
        broke = False
        try:
            for piece in pieces:
                if self.parser.complete:
                    break
                self.parser.feed(piece)
        except BadMessage as bad:
            assert bad.status == 502 and bad.reason
            broke = True
        assert self.ended <= 1
        return self.status, self.body, self.ended, broke


def response(data: bytes) -> None:
    """One response; as h11 reads it."""
    data, ways = cut(data)
    results = [_Response().read(pieces) for pieces in ways]
    for other in results[1:]:  # of what is broken less may have been told by then
        assert other[2:] == results[0][2:] and (other == results[0] or results[0][3]), results
    status, body, ended, _ = results[0]
    if not ended or _BEYOND_H11.search(data) is not None:
        return
    reader = h11.Connection(h11.CLIENT, max_incomplete_event_size=1 << 20)
    reader.send(h11.Request(method="GET", target="/", headers=[("host", "a")]))
    reader.send(h11.EndOfMessage())
    reader.receive_data(data)
    theirs, found = b"", None
    while not isinstance(event := reader.next_event(), h11.EndOfMessage):
        if isinstance(event, h11.Response):
            found = event.status_code
        elif isinstance(event, h11.Data):
            theirs += bytes(event.data)
        else:
            assert isinstance(event, h11.InformationalResponse), f"h11 does not take it: {event!r}"
    assert (found, theirs) == (status, body)


def chunked(data: bytes) -> None:
    """A body in chunks."""

    def read_all(pieces: list[bytes]) -> tuple[bytes, bool, bytes, bool]:
        parser, body = ChunkedBody(max_bytes=4096), b""
        given = 0
        try:
            for piece in pieces:
                given += len(piece)
                for part in parser.feed(piece):
                    assert part
                    body += part
                if parser.done:
                    return body, True, parser.rest + data[given:], False
        except BadMessage as bad:
            assert bad.status in (400, 413)
            return b"", False, b"", True
        return body, False, b"", False

    data, ways = cut(data)
    agreed(read_all(pieces) for pieces in ways)


# -- bodies of requests ----------------------------------------------------------------------------------------------


def _doubled(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    assert len({name for name, _ in pairs}) == len(pairs), "a name comes twice"
    return dict(pairs)


def body(data: bytes) -> None:
    """A JSON body: what is taken, json reads as well, and without doubles; what is edited differs in that only."""
    for route in (CHAT, ROUTES[b"/v1/completions"], ROUTES[b"/v1/responses"], ROUTES[b"/generate"]):
        try:
            asked = peek(route, None, data)
        except BadRequest as bad:
            assert bad.status in (400, 415) and 0 < len(str(bad)) < 500
            continue
        document = json.loads(data, object_pairs_hook=_doubled)
        assert asked.model == (document.get("model") or "")
        assert asked.stream is bool(document.get("stream"))
        prompt_text(route.dialect, document)
        if asked.model:
            assert json.loads(set_model(data, "other")) == {**document, "model": "other"}
        options = document.get("stream_options")
        if options is None or isinstance(options, dict):
            edited = json.loads(force_include_usage(data, has_options=asked.stream_options))
            assert edited == {**document, "stream_options": {**(options or {}), "include_usage": True}}
        edited = json.loads(ask_for_ids(data, has=asked.token_ids))
        assert edited == {**document, "return_token_ids": True}


def form(data: bytes) -> None:
    """A form; its type is the first line."""
    kind, _, data = data.partition(b"\n")
    try:
        boundary = boundary_of(kind)
        spans = fields_of(data, boundary, ("model", "stream"))
    except BadForm as bad:
        assert bad.status in (400, 415) and str(bad)
        return
    for start, end in spans.values():
        assert 0 < start <= end < len(data)
    if "model" in spans:
        edited = set_form_model(data, kind, "other")
        start, end = fields_of(edited, boundary, ("model",))["model"]
        assert edited[start:end] == b"other"
    try:
        peek(ROUTES[b"/v1/audio/transcriptions"], kind, data)
    except BadRequest as bad:
        assert bad.status in (400, 415)


# -- streams ---------------------------------------------------------------------------------------------------------


def events(data: bytes) -> None:
    """A stream's events: all that came is in one of them, or in the rest."""

    def read_all(pieces: list[bytes]) -> tuple[list[bytes], bytes]:
        parser, raws = SSEParser(max_bytes=1 << 20), []
        for piece in pieces:
            raws += parser.feed(piece)
        assert b"".join(raws) + parser.rest == data
        return raws + parser.finish(), b""

    data, ways = cut(data)
    for raw in agreed(read_all(pieces) for pieces in ways)[0]:
        event = read_event(raw)
        assert event is None or event.raw == raw
    try:
        SSEParser(max_bytes=16).feed(data)
    except TooLong as long:
        assert len(b"".join(long.events)) <= len(data)


def _watched(pieces: list[bytes], dialect: Dialect, *, ids: bool) -> tuple[bytes, Any, Kept]:
    kept = Kept(1 << 16, takes_ids=ids, withholds_ids=False)
    watch = StreamWatch(dialect, choices=1, done_required=True, kept=kept)
    out = b"".join([watch.feed(piece) for piece in pieces])
    payload = watch.finish()
    # Not the count of events: of what is no event but looks like one to a glance, it depends on the glance.
    return out + watch.held, (payload, watch.usage, watch.saw_done, watch.finished, watch.reported), kept


def stream(data: bytes) -> None:
    """A stream passes as it came, and is judged alike however it came; what was kept of it can be gone on with, or a
    reason is given."""
    data, ways = cut(data)
    for dialect in (Dialect.CHAT, Dialect.COMPLETIONS, Dialect.RESPONSES, Dialect.MESSAGES):
        results = [_watched(pieces, dialect, ids=False) for pieces in ways]
        for out, *_ in results:
            assert out == data, "it is not what came"
        agreed(facts for _, facts, _ in results)
    for dialect in (Dialect.CHAT, Dialect.COMPLETIONS):
        for ids in (False, True):
            for pieces in ways[:2]:
                _, _, kept = _watched(pieces, dialect, ids=ids)
                _gone_on_with(kept, dialect, data)


_ASKED: Final = {
    Dialect.CHAT: {"model": "m", "messages": [{"role": "user", "content": "x"}], "stream": True, "max_tokens": 50},
    Dialect.COMPLETIONS: {"model": "m", "prompt": "x", "stream": True, "stream_options": {"include_usage": True}},
}


def _gone_on_with(kept: Kept, dialect: Dialect, data: bytes) -> None:
    asked = _ASKED[dialect]
    for engine in ("vllm", "llamacpp"):
        told = told_by(kept, dialect)
        limit = limit_of(asked, dialect, engine)
        try:
            plan = continuation(asked, dialect, told, Target(engine, "m", 4096, True), limit=limit, mode="auto")
        except CannotContinue as reason:
            assert str(reason)
            continue
        orjson.loads(plan.body)
        respeller = Respeller(told, plan, dialect, asked)
        try:
            for raw in SSEParser(max_bytes=1 << 20).feed(data):
                spelled = respeller.respell(raw)
                if spelled:
                    event = read_event(spelled)
                    assert event is not None and isinstance(orjson.loads(event.data), dict)
            closing(told, dialect, asked, None)
        except (Diverged, CannotContinue) as reason:
            assert str(reason)


# -- what engines say otherwise --------------------------------------------------------------------------------------


def answer(data: bytes) -> None:
    """A document that answers, and what it says of its usage."""

    def read_all(pieces: list[bytes]) -> tuple[bytes, Any, Any]:
        whole = WholeBody(decoded=True, max_bytes=1024)
        out = b"".join([whole.feed(piece) for piece in pieces])
        payload = whole.finish()
        return out + whole.body(), payload, whole.usage

    data, ways = cut(data)
    out, _, usage = agreed(read_all(pieces) for pieces in ways)
    assert out == data
    merged(usage, usage)
    try:
        document = orjson.loads(data)
    except orjson.JSONDecodeError:
        return
    found = usage_of(document)
    assert found is None or all(count is None or count >= 0 for count in (found.input, found.output, found.cached))


def metrics(data: bytes) -> None:
    """A page of metrics, or an ORCA report: never more than numbers that can be counted with."""
    said = [read(engine, data) for engine in ("vllm", "sglang", "trtllm", "llamacpp", "openai")]
    for figures in (*said, read_orca(data)):
        assert figures is None or all(0 <= value < float("inf") for value in figures.values())


def models(data: bytes) -> None:
    """A list of models: read, it can be written."""
    try:
        entries = entries_of(data)
    except NoModelList as reason:
        assert str(reason)
        return
    engine_of(entries)
    assert entries_of(model_list(entries)) == entries


def trace(data: bytes) -> None:
    """A C{traceparent}: what is read is written as it was, but for flags that are not known."""
    if is_sampled(data) is not None:
        parent = parse_traceparent(data)
        assert parse_traceparent(traceparent(*parent)) == parent


TARGETS: Final[dict[str, Callable[[bytes], None]]] = {
    target.__name__: target
    for target in (
        request, request_head, response, response_head, chunked, body, form, events, stream, answer, metrics, models,
        trace,
    )
}  # fmt: skip
