"""Writing HTTP/1.1: heads, chunks, and which headers go from one connection to the next."""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

from aibrix_twisted.wire.head import Fields, Headers, options_of

#: Meant for one connection only (RFC 9110 §7.6.1), and those that frame a message, which are each side's own.
HOP_BY_HOP: Final = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)

LAST_CHUNK: Final = b"0\r\n\r\n"

REASONS: Final[dict[int, bytes]] = {status.value: status.phrase.encode() for status in HTTPStatus}

_NAMES_NOTHING: Final = frozenset({b"keep-alive", b"close"})


def forwardable(headers: Headers, fields: Fields, own: frozenset[bytes]) -> Headers:
    """What of a message's headers goes on to the other side.

    Left out are those that C{Connection} names, those in C{own}, and spellings of either with C{_} for C{-}, which
    some readers take for the same.

    @param own: lower case, L{HOP_BY_HOP} among them.
    """
    named = fields.get(b"connection")
    if named is not None and named.lower() not in _NAMES_NOTHING:
        own = own | options_of(named)
    kept = [header for header in headers if header[0].lower() not in own]
    if b"_" in b"".join(fields):
        kept = [header for header in kept if header[0].lower().replace(b"_", b"-") not in own]
    return kept


def response_head(status: int, reason: bytes, headers: Headers) -> bytes:
    """A whole head of a response, its empty line included."""
    lines = b"".join([b"%b: %b\r\n" % header for header in headers])
    return b"HTTP/1.1 %d %b\r\n%b\r\n" % (status, reason, lines)
