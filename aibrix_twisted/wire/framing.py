"""Writing HTTP/1.1: heads and chunks."""

from __future__ import annotations

from collections.abc import Iterable
from http import HTTPStatus
from typing import Final

LAST_CHUNK: Final = b"0\r\n\r\n"

#: What comes before the data of a chunk, by the data's length: an event is hardly longer.
_SIZE_LINES: Final = [b"%x\r\n" % size for size in range(4096)]

REASONS: Final[dict[int, bytes]] = {status.value: status.phrase.encode() for status in HTTPStatus}


def header_lines(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Each header as a line of its own, with its line end."""
    return b"".join([b"%b: %b\r\n" % header for header in headers])


def chunk(data: bytes) -> bytes:
    """A chunk of its own (RFC 9112 §7.1).  HOT: once a read of a stream.

    @param data: at least a byte, for an empty chunk is the last.
    """
    size = len(data)
    return b"".join((_SIZE_LINES[size] if size < len(_SIZE_LINES) else b"%x\r\n" % size, data, b"\r\n"))


def response_head(status: int, reason: bytes, lines: bytes) -> bytes:
    """A whole head of a response, its empty line included.

    @param lines: its headers, each with its line end.
    """
    return b"HTTP/1.1 %d %b\r\n%b\r\n" % (status, reason, lines)
