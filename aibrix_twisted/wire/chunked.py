"""A request's body that comes in chunks (RFC 9112 §7.1), strictly.

llhttp would do, but does not tell where a message ended within what it was given, and the next request may follow.
"""

from __future__ import annotations

import re
from typing import Final

from aibrix_twisted.wire.head import BadMessage

_SIZE_LINE: Final = re.compile(rb"([0-9A-Fa-f]{1,15})((?:[\t ]*;[\t\x20-\x7e\x80-\xff]*)?)")
_TRAILER_LINE: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[\t\x20-\x7e\x80-\xff]*")

MAX_LINE_BYTES: Final = 1024
MAX_EXTENSIONS_BYTES: Final = 16384
MAX_TRAILERS_BYTES: Final = 8192


class ChunkedBody:
    """Takes framed bytes, gives the body.  Extensions and trailers are checked and dropped.

    @ivar done: the last chunk and the trailers are over.
    @ivar rest: what follows them.
    """

    def __init__(self, *, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._buffer = b""
        self._left = 0  # of the current chunk's data; -1: its line end is due
        self._in_trailers = False
        self._body_bytes = self._extension_bytes = self._trailer_bytes = 0
        self.done = False
        self.rest = b""

    def feed(self, data: bytes) -> list[bytes]:
        """Take the next bytes.

        @return: pieces of the body, none of them empty.
        @raise BadMessage: the framing is wrong, or C{max_bytes} of body are exceeded.
        """
        data = self._buffer + data
        at, pieces = 0, []
        while not self.done:
            if self._left > 0:
                piece = data[at : at + self._left]
                if not piece:
                    break
                at += len(piece)
                self._left -= len(piece)
                pieces.append(piece)
                if not self._left:
                    self._left = -1
                continue
            if self._left < 0:
                if data[at : at + 2] != b"\r\n"[: len(data) - at]:
                    raise BadMessage(400, "chunk", "a chunk is longer than its size says: expected CR LF after it")
                if len(data) - at < 2:
                    break
                at, self._left = at + 2, 0
                continue
            end = data.find(b"\r\n", at)
            if end < 0:
                self._check_unfinished(data[at:])
                break
            self._line(data[at:end])
            at = end + 2
        self._buffer = b""
        if self.done:
            self.rest = data[at:]
        else:
            self._buffer = data[at:]
        return pieces

    def finish(self) -> None:
        """No more comes.

        @raise BadMessage: the body is not over.
        """
        if not self.done:
            raise BadMessage(400, "cut", "the body ends before its last chunk")

    def _line(self, line: bytes) -> None:
        if len(line) > MAX_LINE_BYTES:
            raise BadMessage(400, "chunk", f"a line of {len(line)} bytes in chunked framing: {MAX_LINE_BYTES} at most")
        if self._in_trailers:
            self._trailer(line)
            return
        match = _SIZE_LINE.fullmatch(line)
        if match is None:
            raise BadMessage(400, "chunk", f"chunk size line {line[:60]!r}: expected 1 to 15 hexadecimal digits")
        self._extension_bytes += len(match[2])
        if self._extension_bytes > MAX_EXTENSIONS_BYTES:
            raise BadMessage(400, "chunk", f"more than {MAX_EXTENSIONS_BYTES} bytes of chunk extensions")
        self._left = int(match[1], 16)
        self._body_bytes += self._left
        if self._body_bytes > self._max_bytes:
            raise BadMessage(413, "body_too_large", f"the body exceeds {self._max_bytes} bytes")
        self._in_trailers = not self._left

    def _trailer(self, line: bytes) -> None:
        if not line:
            self.done = True
            return
        self._trailer_bytes += len(line)
        if self._trailer_bytes > MAX_TRAILERS_BYTES:
            raise BadMessage(400, "trailer", f"more than {MAX_TRAILERS_BYTES} bytes of trailers")
        if _TRAILER_LINE.fullmatch(line) is None:
            raise BadMessage(400, "trailer", f"trailer line {line[:60]!r}: expected name: value")

    def _check_unfinished(self, line: bytes) -> None:
        if len(line) > MAX_LINE_BYTES:
            raise BadMessage(400, "chunk", f"a line of over {MAX_LINE_BYTES} bytes in chunked framing")
        if b"\n" in line:
            raise BadMessage(400, "chunk", "a bare LF in chunked framing: expected CR LF")
