"""Heads that were read before.

A client says the same head again and again, but for the length of its body; so does an engine, for as long as a
second.  A head is held against the grammar once, whole, with a length of C{0} in the place of its own; the next one
that is the same byte for byte, but for the digits there, is that head with another length.  What makes a message
valid does not hang on which digits they are.

What is given is shared between messages: not to be written to.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from aibrix_twisted.wire.head import BadMessage, RequestHead, ResponseHead, parse_request_head, parse_response_head

#: The first line that says a length.  A second one makes a head that is refused, and nothing refused is remembered.
_LENGTH: Final = re.compile(rb"\r\n(?i:content-length):[\t ]*([0-9]{1,18})\r\n")

#: Heads of each kind that are remembered, and how long they may be: three megabytes in all.
_KEPT: Final = 256
_MAX_BYTES: Final = 4096


def read_request_head(raw: bytes, *, max_headers: int) -> RequestHead:
    """As L{parse_request_head}, but that C{headers} and C{fields} may be without the C{content-length}.

    @raise BadMessage: see there.
    """
    length = _LENGTH.search(raw)
    if length is None or len(raw) > _MAX_BYTES:
        return parse_request_head(raw, max_headers=max_headers)
    start, end = length.span(1)
    try:
        head = _request(raw[:start], raw[end:], max_headers)
    except BadMessage:
        return parse_request_head(raw, max_headers=max_headers)  # says what is wrong with the very bytes
    return RequestHead(
        head.method,
        head.path,
        head.query,
        head.minor_version,
        head.headers,
        head.fields,
        head.onward,
        head.keep_alive,
        int(length[1]),
        head.chunked,
        head.expects_continue,
    )


def read_response_head(raw: bytes, *, max_headers: int) -> ResponseHead:
    """As L{parse_response_head}; see L{read_request_head}.

    @raise BadMessage: see there.
    """
    if len(raw) > _MAX_BYTES:
        return parse_response_head(raw, max_headers=max_headers)
    length = _LENGTH.search(raw)
    if length is None:
        return _whole_response(raw, max_headers)
    start, end = length.span(1)
    try:
        head = _response(raw[:start], raw[end:], max_headers)
    except BadMessage:
        return parse_response_head(raw, max_headers=max_headers)
    return ResponseHead(
        head.status,
        head.reason,
        head.minor_version,
        head.headers,
        head.fields,
        head.onward,
        head.framing,
        int(length[1]),
        head.keep_alive,
    )


@lru_cache(_KEPT)
def _request(before: bytes, after: bytes, max_headers: int) -> RequestHead:
    head = parse_request_head(b"%b0%b" % (before, after), max_headers=max_headers)
    _drop_length(head)
    return head


@lru_cache(_KEPT)
def _response(before: bytes, after: bytes, max_headers: int) -> ResponseHead:
    head = parse_response_head(b"%b0%b" % (before, after), max_headers=max_headers)
    _drop_length(head)
    return head


@lru_cache(_KEPT)
def _whole_response(raw: bytes, max_headers: int) -> ResponseHead:
    return parse_response_head(raw, max_headers=max_headers)


def _drop_length(head: RequestHead | ResponseHead) -> None:
    """It is not the length of the head that this one is remembered for."""
    del head.fields[b"content-length"]
    head.headers[:] = [header for header in head.headers if header[0].lower() != b"content-length"]
