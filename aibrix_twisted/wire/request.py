"""Requests out of a client's bytes, one at a time: nothing of the next is looked at before it is asked for."""

from __future__ import annotations

from typing import Final, Protocol

from aibrix_twisted.wire.chunked import ChunkedBody
from aibrix_twisted.wire.head import BadMessage, RequestHead
from aibrix_twisted.wire.remembered import LastHead, read_request_head

#: RFC 9112 §3 asks for at least 8 000 octets.
MAX_REQUEST_LINE_BYTES: Final = 8192


class RequestSink(Protocol):
    """Who is told of a request, in this order."""

    def request_head(self, head: RequestHead) -> None:
        """The head."""
        ...

    def request_body(self, data: bytes) -> None:
        """Some of the body, any number of times."""
        ...

    def request_complete(self) -> None:
        """The end."""
        ...


class _Nobody:
    """In the place of a sink that is told nothing more."""

    def request_head(self, head: RequestHead) -> None:
        """Not heard."""

    def request_body(self, data: bytes) -> None:
        """Not heard."""

    def request_complete(self) -> None:
        """Not heard."""


_NOBODY: Final = _Nobody()


class RequestParser:
    """Feeds one sink.  The sink may call C{close} or C{next} beneath any of its frames.

    @ivar complete: a request was told to its end; C{next()} goes on.
    """

    __slots__ = (
        "_body",
        "_buffer",
        "_closed",
        "_last_head",
        "_left",
        "_max_body",
        "_max_head",
        "_max_headers",
        "_max_line",
        "_searched",
        "_sink",
        "_state",
        "complete",
    )

    def __init__(
        self, sink: RequestSink, *, max_head_bytes: int, max_line_bytes: int, max_headers: int, max_bytes: int
    ) -> None:
        """@param max_line_bytes: of a header line; the request line has a bound of its own."""
        self._sink: RequestSink = sink
        self._max_head = max_head_bytes
        self._max_line = max_line_bytes
        self._max_headers = max_headers
        self._last_head = LastHead()
        self._max_body = max_bytes
        self._buffer = b""
        self._searched = 0
        self._left = 0
        self._body: ChunkedBody | None = None
        self._closed = False
        self._state = _HEAD
        self.complete = False

    @property
    def idle(self) -> bool:
        """Nothing of a next request has come."""
        return self._state is _HEAD and not self._buffer

    @property
    def pending_bytes(self) -> int:
        """Bytes that came after the current request, and wait."""
        return len(self._buffer) if self.complete else 0

    def feed(self, data: bytes) -> None:
        """Take the next bytes.

        @raise BadMessage: see there; nothing can follow but the connection's close.
        """
        if self._closed:
            return
        if self.complete:
            self._buffer += data
        elif self._state is _HEAD:
            self._take_head(self._buffer + data if self._buffer else data)
        else:
            self._take_body(data)

    def next(self) -> None:
        """The current request is done with: go on to the next.

        @raise BadMessage: as C{feed}.
        """
        if self.complete and not self._closed:
            self.complete = False
            self._state = _HEAD
            data, self._buffer = self._buffer, b""
            if data:
                self._take_head(data)

    def finish(self) -> None:
        """No more comes.

        @raise BadMessage: in the middle of a request.
        """
        if not (self.complete or self.idle or self._closed):
            raise BadMessage(400, "cut", "the connection ended in the middle of a request")

    def close(self) -> None:
        """Nothing more is told to the sink."""
        self._closed = True
        self._sink = _NOBODY  # which knows us: a circle would wait for the collector
        self._buffer = b""
        self._body = None

    def _take_head(self, data: bytes) -> None:
        end = data.find(b"\r\n\r\n", max(0, self._searched - 3))
        if end < 0 or end + 4 > self._max_head:
            self._check_unfinished_head(data)
            self._buffer, self._searched = data, len(data)
            return
        self._searched = 0
        self._buffer = b""
        line_end = data.find(b"\r\n", 2)
        if line_end > MAX_REQUEST_LINE_BYTES:
            raise _long_line()
        if end > self._max_line:
            self._check_lines(data[:end])
        head = read_request_head(data[: end + 4], max_headers=self._max_headers, last=self._last_head)
        if head.content_length is not None and head.content_length > self._max_body:
            raise BadMessage(
                413, "body_too_large", f"content-length {head.content_length}: expected {self._max_body} bytes at most"
            )
        self._state = _CHUNKS if head.chunked else _LENGTH
        self._left = head.content_length or 0
        self._body = ChunkedBody(max_bytes=self._max_body) if head.chunked else None
        self._sink.request_head(head)
        if self._closed:
            return
        self._take_body(data[end + 4 :])

    def _take_body(self, data: bytes) -> None:
        body = self._body
        if body is not None:
            pieces = body.feed(data)
            if pieces:  # joined: a body in chunks of a byte each must not cost an object for each of its bytes
                self._sink.request_body(pieces[0] if len(pieces) == 1 else b"".join(pieces))
                if self._closed:
                    return
            if body.done:
                self._body = None
                self._complete(body.rest)
            return
        left = self._left
        if len(data) <= left:
            self._left = left - len(data)
            if data:
                self._sink.request_body(data)
            rest = b""
        else:
            self._left = 0
            if left:
                self._sink.request_body(data[:left])
            rest = data[left:]
        if not self._left and not self._closed:
            self._complete(rest)

    def _complete(self, rest: bytes) -> None:
        self.complete = True
        self._buffer = rest
        self._sink.request_complete()

    def _check_unfinished_head(self, data: bytes) -> None:
        line_end = data.find(b"\r\n", 2)
        if line_end > MAX_REQUEST_LINE_BYTES or (line_end < 0 and len(data) > MAX_REQUEST_LINE_BYTES):
            raise _long_line()
        if len(data) >= self._max_head:
            raise BadMessage(431, "head_too_large", f"the head exceeds {self._max_head} bytes")
        if len(data) > self._max_line:
            self._check_lines(data)
        if data[:1] in b"\r\n" and data[:2] != b"\r\n"[: len(data)]:
            raise BadMessage(400, "start_line", "the request begins with a bare line end")
        if not data[:1].isalpha() and data[:1] != b"\r":
            raise BadMessage(400, "start_line", "the request begins with no method: is it TLS, or another protocol?")
        lines = data.count(b"\r\n")
        if data.count(b"\n") != lines:
            raise BadMessage(400, "header_line", "a bare LF in the head: expected CR LF")
        if lines > self._max_headers + 2:  # an empty line may come before the request line
            raise BadMessage(431, "too_many_headers", f"over {self._max_headers} header lines")

    def _check_lines(self, head: bytes) -> None:
        longest = max(map(len, head.split(b"\r\n")))
        if longest > self._max_line:
            raise BadMessage(431, "head_too_large", f"a header line exceeds {self._max_line} bytes")


def _long_line() -> BadMessage:
    return BadMessage(414, "line_too_long", f"the request line exceeds {MAX_REQUEST_LINE_BYTES} bytes")


_HEAD: Final = "head"
_LENGTH: Final = "length"
_CHUNKS: Final = "chunks"
