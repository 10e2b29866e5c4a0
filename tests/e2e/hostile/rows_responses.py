"""Responses of hostile or broken engines: what of them a client sees, and that nothing of one is left for the next.

A case is its id, what the engine writes, how its connection ends then, and what the client is to see: the status, and
whether the answer is whole.  What is whole is what the engine said, or, with a status above 500, the gateway's error.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from tests.e2e.hostile.origin import chunked, whole

#: What an engine answers with: a document, and a stream.
JSON: Final = b'{"id":"cmpl-1","object":"text_completion","choices":[{"index":0,"text":"hi","finish_reason":"stop"}]}'
_EVENT: Final = (
    b'data: {"id":"c","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"%b"}}]}\n\n'
)
_FINISH: Final = (
    b'data: {"id":"c","object":"chat.completion.chunk","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
)
STREAM: Final = _EVENT % b"hi" + _EVENT % b"there" + _FINISH + b"data: [DONE]\n\n"
SSE: Final = b"content-type: text/event-stream\r\n"


class Case(NamedTuple):
    """One of them.

    @ivar end: how the engine's connection goes on: C{keep}, C{fin} or C{rst}.
    @ivar body: what the client is to get, where that is not L{JSON} or an error.
    """

    id: str
    raw: bytes
    status: int
    whole: bool = True
    end: str = "keep"
    stream: bool = False
    body: bytes | None = JSON


def _head(name: str, head: bytes, status: int = 502, end: str = "fin") -> Case:
    return Case(f"up-head-{name}", head, status, end=end)


def _fields(name: str, lines: bytes, status: int = 502, body: bytes = JSON) -> Case:
    """A head with these lines, the length excepted."""
    return _head(name, b"HTTP/1.1 200 OK\r\n" + lines + b"\r\n" + body, status)


_CL: Final = b"content-length: %d\r\n" % len(JSON)
_CT: Final = b"content-type: application/json\r\n"
_TE: Final = b"transfer-encoding: chunked\r\n"
_FRAMED: Final = b"%x\r\n%b\r\n0\r\n\r\n" % (len(JSON), JSON)

HEADS: Final = (
    _fields("plain", _CT + _CL, 200),
    _fields("lf", b"x: y\n" + _CL),
    _head("lf-only", (b"HTTP/1.1 200 OK\r\n" + _CL + b"\r\n").replace(b"\r\n", b"\n") + JSON),
    _head("cr-only", b"HTTP/1.1 200 OK\r" + _CL + b"\r\n" + JSON),
    _fields("fold", b"x: y\r\n z\r\n" + _CL),
    _fields("nul", b"x: a\x00b\r\n" + _CL),
    _fields("ctl", b"x: a\x01b\r\n" + _CL),
    _fields("cr", b"x: a\rb\r\n" + _CL),
    _fields("cr-injects", b"x: a\rset-cookie: b\r\n" + _CL),
    _fields("lf-injects", b"x: a\nset-cookie: b\r\n" + _CL),
    _fields("8-bit", b"x: \xe9\r\n" + _CT + _CL, 200),
    _fields("name-space", b"x : y\r\n" + _CL),
    _fields("name-empty", b": y\r\n" + _CL),
    _fields("name-nul", b"x\x00: y\r\n" + _CL),
    _fields("name-8-bit", b"x\xff: y\r\n" + _CL),
    _fields("no-colon", b"xy\r\n" + _CL),
    _head("reason-none", b"HTTP/1.1 200\r\n" + _CT + _CL + b"\r\n" + JSON, 200),
    _head("reason-empty", b"HTTP/1.1 200 \r\n" + _CT + _CL + b"\r\n" + JSON, 200),
    _head("reason-ctl", b"HTTP/1.1 200 O\x00K\r\n" + _CL + b"\r\n" + JSON),
    _head("reason-cr", b"HTTP/1.1 200 O\rK\r\n" + _CL + b"\r\n" + JSON),
    _head("reason-8-bit", b"HTTP/1.1 200 \xe9\r\n" + _CT + _CL + b"\r\n" + JSON, 200),
    _head("status-minus", b"HTTP/1.1 -200 OK\r\n" + _CL + b"\r\n" + JSON),
    _head("status-plus", b"HTTP/1.1 +200 OK\r\n" + _CL + b"\r\n" + JSON),
    _head("status-20", b"HTTP/1.1 20 OK\r\n" + _CL + b"\r\n" + JSON),
    _head("status-099", b"HTTP/1.1 099 OK\r\n" + _CL + b"\r\n" + JSON),
    _head("status-000", b"HTTP/1.1 000 OK\r\n" + _CL + b"\r\n" + JSON),
    _head("status-600", b"HTTP/1.1 600 OK\r\n" + _CL + b"\r\n" + JSON),
    _head("status-2000", b"HTTP/1.1 2000 OK\r\n" + _CL + b"\r\n" + JSON),
    _head("status-hex", b"HTTP/1.1 0xc8 OK\r\n" + _CL + b"\r\n" + JSON),
    _head("status-no", b"HTTP/1.1 OK\r\n" + _CL + b"\r\n" + JSON),
    _head("spaces", b"HTTP/1.1  200 OK\r\n" + _CL + b"\r\n" + JSON),
    _head("tab", b"HTTP/1.1\t200 OK\r\n" + _CL + b"\r\n" + JSON),
    _head("crlf-before", b"\r\nHTTP/1.1 200 OK\r\n" + _CL + b"\r\n" + JSON),
    _head("space-before", b" HTTP/1.1 200 OK\r\n" + _CL + b"\r\n" + JSON),
    _head("version-2", b"HTTP/2 200 OK\r\n" + _CL + b"\r\n" + JSON),
    _head("version-12", b"HTTP/1.2 200 OK\r\n" + _CL + b"\r\n" + JSON),
    _head("version-lower", b"http/1.1 200 OK\r\n" + _CL + b"\r\n" + JSON),
    _head("version-10", b"HTTP/1.0 200 OK\r\n" + _CT + _CL + b"\r\n" + JSON, 200),
    _head("09", JSON),
    _head("request", b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"),
    _head("nothing", b""),
    _head("half", b"HTTP/1.1 200 OK\r\n" + _CL),
    _head("half-line", b"HTTP/1."),
    _fields("cl-plus", b"content-length: +%d\r\n" % len(JSON)),
    _fields("cl-minus", b"content-length: -1\r\n"),
    _fields("cl-hex", b"content-length: 0x10\r\n"),
    _fields("cl-empty", b"content-length:\r\n"),
    _fields("cl-huge-digits", b"content-length: " + b"1" * 4301 + b"\r\n"),
    _fields("cl-19-digits", b"content-length: 9999999999999999999\r\n"),
    _fields("cl-list-same", b"content-length: 5, 5\r\n"),
    _fields("cl-list-diff", b"content-length: 5, 6\r\n"),
    _fields("cl-dup-same", _CL + _CL),
    _fields("cl-dup-diff", _CL + b"content-length: 1\r\n"),
    _fields("cl-te", _CL + _TE, body=_FRAMED),
    _fields("te-cl", _TE + _CL, body=_FRAMED),
    _fields("te", _CT + _TE, 200, body=_FRAMED),
    _fields("te-upper", _CT + b"Transfer-Encoding: CHUNKED\r\n", 200, body=_FRAMED),
    _fields("te-identity", b"transfer-encoding: identity\r\n"),
    _fields("te-gzip", b"transfer-encoding: gzip\r\n"),
    _fields("te-gzip-chunked", b"transfer-encoding: gzip, chunked\r\n", body=_FRAMED),
    _fields("te-chunked-identity", b"transfer-encoding: chunked, identity\r\n", body=_FRAMED),
    _fields("te-dup", _TE + _TE, body=_FRAMED),
    _fields("te-dup-identity", _TE + b"transfer-encoding: identity\r\n", body=_FRAMED),
    _fields("te-vt", b"transfer-encoding: \x0bchunked\r\n", body=_FRAMED),
    _fields("te-quoted", b'transfer-encoding: "chunked"\r\n', body=_FRAMED),
    _head("te-10", b"HTTP/1.0 200 OK\r\n" + _TE + b"\r\n" + _FRAMED),
    _fields("200-fields", _CT + b"x: y\r\n" * 198 + _CL, 200),
    _fields("201-fields", b"x: y\r\n" * 200 + _CL),
    _fields("line-16k", _CT + b"x: " + b"y" * 16000 + b"\r\n" + _CL, 200),
    _fields("line-too-long", b"x: " + b"y" * 16400 + b"\r\n" + _CL),
    _fields("too-long", (b"x: " + b"y" * 9000 + b"\r\n") * 8 + _CL),
    _head("interim", b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n" + whole(JSON), 200),
    _head("interim-8", b"HTTP/1.1 103 Early Hints\r\n\r\n" * 8 + whole(JSON), 200),
    _head("interim-9", b"HTTP/1.1 103 Early Hints\r\n\r\n" * 9 + whole(JSON)),
    _head("continue-unasked", b"HTTP/1.1 100 Continue\r\n\r\n" + whole(JSON), 200),
    _head("switching-unasked", b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n" + whole(JSON)),
    _head("interim-only", b"HTTP/1.1 103 Early Hints\r\n\r\n"),
)  # fmt: skip


def _chunk(name: str, framed: bytes, status: int = 502, end: str = "fin") -> Case:
    """A document, so that nothing of it is out before it is known to be broken."""
    return Case(f"up-chunk-{name}", b"HTTP/1.1 200 OK\r\n" + _CT + _TE + b"\r\n" + framed, status, end=end)


_SIZE: Final = b"%x" % len(JSON)

CHUNKS: Final = (
    _chunk("plain", _FRAMED, 200),
    _chunk("upper", _FRAMED.upper().replace(JSON.upper(), JSON), 200),
    _chunk("one-each", b"".join(b"1\r\n%c\r\n" % byte for byte in JSON) + b"0\r\n\r\n", 200),
    _chunk("ext", _SIZE + b";a=b\r\n" + JSON + b"\r\n0\r\n\r\n", 200),
    _chunk("trailer", _FRAMED[:-2] + b"a: b\r\n\r\n", 200),
    _chunk("0x", b"0x" + _FRAMED),
    _chunk("plus", b"+" + _FRAMED),
    _chunk("minus", b"-" + _FRAMED),
    _chunk("not-hex", b"g\r\n\r\n"),
    _chunk("empty-size", b"\r\n" + JSON + b"\r\n0\r\n\r\n"),
    _chunk("overflow", b"10000000000000001\r\nx"),
    _chunk("lf-after-size", _SIZE + b"\n" + JSON + b"\r\n0\r\n\r\n"),
    _chunk("lf-after-data", _SIZE + b"\r\n" + JSON + b"\n0\r\n\r\n"),
    _chunk("any2-data", _SIZE + b"\r\n" + JSON + b"xx0\r\n\r\n"),
    _chunk("too-short", b"5\r\n" + JSON + b"\r\n0\r\n\r\n"),
    _chunk("too-long", b"fff\r\n" + JSON + b"\r\n0\r\n\r\n"),
    _chunk("last-missing", _SIZE + b"\r\n" + JSON + b"\r\n"),
    _chunk("last-half", _SIZE + b"\r\n" + JSON + b"\r\n0\r\n"),
    _chunk("last-rst", _SIZE + b"\r\n" + JSON + b"\r\n0\r\n", end="rst"),
)

#: What comes after a response that is whole: it must be nobody's.
POISON: Final = whole(b'{"poison":true}')
POISONS: Final = (
    *(
        Case(f"up-poison-{name}", response + poison, 200)
        for response_name, response in (("cl", whole(JSON)), ("chunked", chunked(JSON, 40)))
        for name, poison in (
            (f"response-{response_name}", POISON),
            (f"byte-{response_name}", b"x"),
            (f"crlf-{response_name}", b"\r\n"),
            (f"half-{response_name}", POISON[:30]),
            (f"many-{response_name}", POISON * 50),
        )
    ),
    Case("up-poison-204", b"HTTP/1.1 204 No Content\r\n\r\n" + POISON, 204, body=b""),
    Case("up-poison-304", b"HTTP/1.1 304 Not Modified\r\n\r\n" + POISON, 304, body=b""),
    Case("up-poison-204-length", b"HTTP/1.1 204 No Content\r\ncontent-length: 15\r\n\r\n" + b'{"poison":true}', 204, body=b""),
    Case("up-poison-length-short", whole(JSON) + b'{"poison":true}', 200),
    Case("up-poison-chunked-twice", chunked(JSON, 40) + b"0\r\n\r\n", 200),
)  # fmt: skip


def _ending(
    name: str, raw: bytes, status: int, *, whole: bool, end: str, body: bytes | None = None, stream: bool = True
) -> Case:
    return Case(f"up-end-{name}", raw, status, whole, end, stream, body)


_OPEN: Final = b"HTTP/1.1 200 OK\r\n" + SSE + b"\r\n"
_HALF: Final = STREAM[: len(STREAM) // 2]

ENDINGS: Final = (
    _ending("stream-chunked", chunked(STREAM, 60, SSE), 200, whole=True, end="keep", body=STREAM),
    _ending("stream-length", whole(STREAM, SSE), 200, whole=True, end="keep", body=STREAM),
    _ending("stream-close", _OPEN + STREAM, 200, whole=True, end="fin", body=STREAM),
    _ending("stream-close-rst", _OPEN + STREAM, 200, whole=False, end="rst"),
    _ending("stream-close-cut", _OPEN + _HALF, 200, whole=False, end="fin"),
    _ending("stream-chunked-cut", chunked(STREAM, 60, SSE)[:-100], 200, whole=False, end="fin"),
    _ending("stream-chunked-rst", chunked(STREAM, 60, SSE)[:-100], 200, whole=False, end="rst"),
    _ending("stream-last-chunk-missing", chunked(STREAM, 60, SSE)[:-5], 200, whole=False, end="fin"),
    _ending("stream-length-cut", whole(STREAM, SSE)[:-9], 200, whole=False, end="fin"),
    _ending("stream-head-only", chunked(STREAM, 60, SSE).partition(b"\r\n\r\n")[0] + b"\r\n\r\n", 502, whole=True, end="fin"),
    _ending("stream-bad-chunk", chunked(STREAM, 60, SSE)[:-5] + b"xyz\r\n", 200, whole=False, end="keep"),
    _ending("document-length-cut", whole(JSON)[:-1], 502, whole=True, end="fin", stream=False),
    _ending("document-length-rst", whole(JSON)[:-1], 502, whole=True, end="rst", stream=False),
    _ending("document-close", b"HTTP/1.1 200 OK\r\n" + _CT + b"\r\n" + JSON, 200, whole=True, end="fin", body=JSON, stream=False),
    _ending("document-close-cut", b"HTTP/1.1 200 OK\r\n" + _CT + b"\r\n" + JSON[:-1], 502, whole=True, end="fin", stream=False),
    _ending("document-close-rst", b"HTTP/1.1 200 OK\r\n" + _CT + b"\r\n" + JSON, 502, whole=True, end="rst", stream=False),
    _ending("document-too-long", whole(JSON) + b"more", 200, whole=True, end="keep", body=JSON, stream=False),
    _ending("error-401", whole(b'{"error":1}', _CT, b"401 Unauthorized"), 401, whole=True, end="keep", body=b'{"error":1}', stream=False),
    _ending("error-500", whole(b"oh", b"content-type: text/plain\r\n", b"500 No"), 500, whole=True, end="keep", body=b"oh", stream=False),
    _ending("error-500-stream", whole(b"oh", b"content-type: text/plain\r\n", b"500 No"), 500, whole=True, end="keep", body=b"oh"),
    _ending("redirect", whole(b"", b"location: http://169.254.169.254/\r\n", b"302 Found"), 302, whole=True, end="keep", body=b"", stream=False),
    _ending("empty-document", whole(b""), 200, whole=True, end="keep", body=b"", stream=False),
)  # fmt: skip

TABLES: Final = (HEADS, CHUNKS, POISONS, ENDINGS)

#: Spellings of a stream that mean the same, or something, to whoever reads it: they pass as they are.
ODDITIES: Final = tuple(
    (f"up-sse-{name}", body)
    for name, body in (
        ("crlf", STREAM.replace(b"\n", b"\r\n")),
        ("cr", STREAM.replace(b"\n", b"\r")),
        ("mixed", STREAM.replace(b"\n\n", b"\r\n\n")),
        ("no-space", STREAM.replace(b"data: ", b"data:")),
        ("two-spaces", STREAM.replace(b"data: ", b"data:  ")),
        ("comment", b": hello\n\n" + STREAM),
        ("comment-amid", STREAM.replace(b"\n\n", b"\n: x\n\n", 1)),
        ("comments-only-first", b":\n\n" * 20 + STREAM),
        ("event-names", b"event: delta\n" + STREAM),
        ("ids", b"id: 1\n" + STREAM),
        ("retry", b"retry: 10\n\n" + STREAM),
        ("bom", b"\xef\xbb\xbf" + STREAM),
        ("empty-data", b"data:\n\n" + STREAM),
        ("no-colon", b"data\n\n" + STREAM),
        ("unknown-field", b"foo: bar\n\n" + STREAM),
        ("blank-lines", b"\n\n\n\n" + STREAM),
        ("two-lines", b'data: {"choices":\ndata: []}\n\n' + STREAM),
        ("utf-8", STREAM.replace(b"hi", "héllo \U0001f600".encode())),
        ("not-utf-8", STREAM.replace(b"hi", b"\xff\xfe")),
        ("nul", STREAM.replace(b"hi", b"a\x00b")),
        ("long-event", STREAM.replace(b"hi", b"x" * 200_000)),
    )
)
