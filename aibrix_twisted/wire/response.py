"""One response out of an engine's bytes.

The head is read by L{aibrix_twisted.wire.head}; chunks are llhttp's work (through httptools), whose reading of
RFC 9112 §7.1 was found to be strict: CR LF only, hexadecimal digits only, extensions that are tokens.  Its callbacks
only gather; the sink is told after llhttp has returned, once a read however many chunks there were, so that whatever
the sink does, it does not do it beneath the parser's frames.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

import httptools

from aibrix_twisted.wire.head import BadMessage, Framing, ResponseHead
from aibrix_twisted.wire.remembered import LastHead, read_response_head

#: llhttp is told of a chunked message with this, for it reads the real head no better than we did.
_CHUNKED_HEAD: Final = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"

MAX_INTERIM: Final = 8

#: Of a head's lines, each.
MAX_LINE_BYTES: Final = 16384


#: Sizes of chunks as they are usually spelled, of those that a read may hold whole.
_SIZES: Final = {b"%x" % size: size for size in range(1, 4096)}

_CR: Final = 0x0D
_LF: Final = 0x0A

_NONE: Final = Framing.NONE
_LENGTH: Final = Framing.LENGTH
_CHUNKED: Final = Framing.CHUNKED
_CLOSE: Final = Framing.CLOSE


class ResponseSink(Protocol):
    """Who is told of a response: where it begins and where it ends.  What is between goes elsewhere, straight."""

    def response_head(self, head: ResponseHead) -> None:
        """The head; interim ones are not told."""
        ...

    def response_complete(self) -> None:
        """The framing says that it is over."""
        ...


class _Chunks:
    """What llhttp calls: it gathers.  llhttp hands trailers to C{on_header} if there is one; they are dropped."""

    __slots__ = ("begun", "between", "count", "on_body", "pieces", "whole")

    def __init__(self) -> None:
        self.between = False  # no chunk is under way
        self.pieces: list[bytes] = []
        self.on_body = self.pieces.append
        self.begun = 0
        self.count = 0  # of pieces, when the last chunk came
        self.whole = False

    def on_message_begin(self) -> None:
        """Ours, and, where it comes again, bytes that nobody asked for."""
        self.begun += 1

    def on_chunk_header(self) -> None:
        """A chunk begins."""
        self.between = False

    def on_chunk_complete(self) -> None:
        """It ends."""
        self.between = True

    def on_message_complete(self) -> None:
        """The last chunk, and, where it comes again, that of a response that nobody asked for."""
        if not self.whole:
            self.whole = True
            self.count = len(self.pieces)


class ResponseParser:
    """Feeds one sink with one response.

    @ivar complete: it was told to its end.
    @ivar excess: bytes came after its end, so that the connection is out of step.
    """

    __slots__ = (
        "_aligned",
        "_body",
        "_buffer",
        "_chunks",
        "_framing",
        "_interim",
        "_last_head",
        "_left",
        "_llhttp",
        "_max_bytes",
        "_max_headers",
        "_sink",
        "complete",
        "excess",
    )

    def __init__(
        self,
        sink: ResponseSink,
        body: Callable[[bytes], None],
        *,
        max_bytes: int = 65536,
        max_headers: int = 200,
        last: LastHead | None = None,
    ) -> None:
        """
        @param body: takes some of the body, any number of times between head and end, at least a byte.
        @param last: the last head on the same connection.
        """
        self._sink = sink
        self._body = body
        self._aligned = False
        self._max_bytes = max_bytes
        self._max_headers = max_headers
        self._last_head = last or LastHead()
        self._buffer = b""
        self._interim = 0
        self._framing: Framing | None = None
        self._left = 0
        self._chunks: _Chunks | None = None
        self._llhttp: httptools.HttpResponseParser | None = None
        self.complete = False
        self.excess = False

    def feed(self, data: bytes) -> None:
        """Take the next bytes.  HOT: once a read.

        @raise BadMessage: they are not HTTP.  What came before them was told.
        """
        chunks = self._chunks
        if chunks is None:
            self._feed_otherwise(data)
            return
        if self._aligned:  # llhttp waits for a chunk; one that comes whole and alone need not trouble it
            body = _only_chunk(data)
            if body:
                self._body(body)
                return
        pieces = chunks.pieces
        broken: BadMessage | None = None
        try:
            self._llhttp.feed_data(data)  # type: ignore[union-attr]
        except httptools.HttpParserError as error:
            broken = BadMessage(502, "chunk", f"chunked framing: {error}")
        if chunks.whole:
            self._last(b"".join(pieces[: chunks.count]), chunks, broken)
            return
        if pieces:
            body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
            pieces.clear()
            self._body(body)
        if broken is not None:
            raise broken
        self._aligned = chunks.between and data.endswith(b"\r\n")

    def finish(self) -> bool:
        """No more comes.

        @return: whether that is an end of the response: only where its head promised none.
        """
        return self.complete or self._framing is _CLOSE

    def _last(self, body: bytes, chunks: _Chunks, broken: BadMessage | None) -> None:
        """The last chunk is here.  Bytes beyond it are nobody's, and make the connection unfit."""
        self.excess = broken is not None or chunks.begun > 1
        self._chunks = self._llhttp = None
        self.complete = True
        sink = self._sink
        if body:
            self._body(body)
        sink.response_complete()

    def _feed_otherwise(self, data: bytes) -> None:
        framing = self._framing
        if framing is None:
            self._take_head(self._buffer + data if self._buffer else data)
        elif self.complete:
            self.excess = True
        elif framing is _CLOSE:
            self._body(data)
        else:
            self._take_length(data)

    def _take_length(self, data: bytes) -> None:
        left = self._left
        if len(data) < left:
            self._left = left - len(data)
            self._body(data)
            return
        self._left = 0
        self.excess = len(data) > left
        self.complete = True
        if left:
            self._body(data[:left])
        self._sink.response_complete()

    def _take_head(self, data: bytes) -> None:
        self._buffer = b""
        while True:
            end = data.find(b"\r\n\r\n")
            if end < 0 or end + 4 > self._max_bytes:
                self._check_unfinished_head(data)
                self._buffer = data
                return
            if end > MAX_LINE_BYTES:
                _check_lines(data[:end])
            head = read_response_head(data[: end + 4], max_headers=self._max_headers, last=self._last_head)
            data = data[end + 4 :]
            if head.status >= 200:
                break
            self._interim += 1
            if head.status == 101 or self._interim > MAX_INTERIM:
                raise BadMessage(502, "interim", f"status {head.status} that nobody asked for")
            if not data:
                return
        self._begin(head, data)

    def _begin(self, head: ResponseHead, data: bytes) -> None:
        framing = self._framing = head.framing
        if framing is _LENGTH:
            left = self._left = head.content_length or 0
            self._sink.response_head(head)
            if data or not left:
                self._take_length(data)
            return
        if framing is _CHUNKED:
            chunks = self._chunks = _Chunks()
            self._llhttp = httptools.HttpResponseParser(chunks)
            self._llhttp.feed_data(_CHUNKED_HEAD)
        self._sink.response_head(head)
        if framing is _NONE:
            self.excess = bool(data)
            self.complete = True
            self._sink.response_complete()
        elif data:
            self.feed(data)

    def _check_unfinished_head(self, data: bytes) -> None:
        if len(data) >= self._max_bytes:
            raise BadMessage(502, "head_too_large", f"the head exceeds {self._max_bytes} bytes")
        if len(data) > MAX_LINE_BYTES:
            _check_lines(data)
        if not b"HTTP/1.".startswith(data[:7]):
            raise BadMessage(502, "start_line", f"start line {data[:60].decode('latin-1')!a}: expected HTTP/1.1")
        lines = data.count(b"\r\n")
        if data.count(b"\n") != lines:
            raise BadMessage(502, "header_line", "a bare LF in the head: expected CR LF")
        if lines > self._max_headers + 1:
            raise BadMessage(502, "too_many_headers", f"over {self._max_headers} header lines")


def _only_chunk(data: bytes) -> bytes:
    """What is in it, if it is one whole chunk of up to three digits and nothing else; else nothing.  HOT."""
    count = len(data)
    if count < 8 or data[count - 2] != _CR or data[count - 1] != _LF:
        return b""
    # Bytes looked at one by one cost nothing where this is compiled; to search for two of them costs a call.
    end = 3 if data[3] == _CR else 2 if data[2] == _CR else 1
    if data[end] != _CR or data[end + 1] != _LF:
        return b""
    size = _SIZES.get(data[:end])
    return data[end + 2 : count - 2] if size is not None and count == size + end + 4 else b""


def _check_lines(head: bytes) -> None:
    if max(map(len, head.split(b"\r\n"))) > MAX_LINE_BYTES:
        raise BadMessage(502, "head_too_large", f"a line of the head exceeds {MAX_LINE_BYTES} bytes")
