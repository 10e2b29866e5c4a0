"""Writing HTTP/1.1: heads and chunks."""

from __future__ import annotations

from collections.abc import Iterable
from http import HTTPStatus
from typing import Final

LAST_CHUNK: Final = b"0\r\n\r\n"

REASONS: Final[dict[int, bytes]] = {status.value: status.phrase.encode() for status in HTTPStatus}


def header_lines(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Each header as a line of its own, with its line end."""
    return b"".join([b"%b: %b\r\n" % header for header in headers])


def response_head(status: int, reason: bytes, lines: bytes) -> bytes:
    """A whole head of a response, its empty line included.

    @param lines: its headers, each with its line end.
    """
    return b"HTTP/1.1 %d %b\r\n%b\r\n" % (status, reason, lines)
