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
_MAX_DIGITS: Final = 18
_LENGTH: Final = re.compile(rb"\r\n(?i:content-length):[\t ]*([0-9]{1,%d})\r\n" % _MAX_DIGITS)

#: Lengths that are looked up, which takes less than to read their digits.
_SHORT: Final = {str(length).encode(): length for length in range(4096)}

#: No head ends so: what follows its empty line is not given to us.
_NEVER: Final = b"\0"

#: Heads of each kind that are remembered, and how long they may be: three megabytes in all.
_KEPT: Final = 256
_MAX_BYTES: Final = 4096


class LastHead:
    """The last head on one connection: the next one is mostly the same but for its length, and then nothing has to be
    looked for.

    @ivar before, after: what stood around its length.
    """

    __slots__ = ("after", "before", "request", "response")

    def __init__(self) -> None:
        self.before = self.after = b""
        self.request: RequestHead | None = None
        self.response: ResponseHead | None = None

    def length(self, raw: bytes) -> int:
        """What a head says of its length that is otherwise this one; -1: it is another."""
        before, after = self.before, self.after
        begin, end = len(before), len(raw) - len(after)
        if not before or end < begin or raw[:begin] != before or raw[end:] != after:
            return -1
        digits = raw[begin:end]
        short = _SHORT.get(digits)
        if short is not None:
            return short
        return int(digits) if digits.isdigit() and len(digits) <= _MAX_DIGITS else -1


def read_request_head(raw: bytes, *, max_headers: int, last: LastHead) -> RequestHead:
    """As L{parse_request_head}, but that C{headers} and C{fields} may be without the C{content-length}.

    @param last: of the connection, and of this bound of headers.
    @raise BadMessage: see there.
    """
    known = last.request
    if known is not None:
        said = last.length(raw)
        if said >= 0:
            return _request_of(known, said)
    length = _LENGTH.search(raw)
    if length is None or len(raw) > _MAX_BYTES:
        return parse_request_head(raw, max_headers=max_headers)
    start, end = length.span(1)
    before, after = raw[:start], raw[end:]
    try:
        head = _request(before, after, max_headers)
    except BadMessage:
        return parse_request_head(raw, max_headers=max_headers)  # says what is wrong with the very bytes
    last.before, last.after, last.request = before, after, head
    return _request_of(head, int(length[1]))


def _request_of(head: RequestHead, length: int) -> RequestHead:
    return RequestHead(
        head.method,
        head.path,
        head.query,
        head.minor_version,
        head.headers,
        head.fields,
        head.onward,
        head.keep_alive,
        length,
        head.chunked,
        head.expects_continue,
    )


def read_response_head(raw: bytes, *, max_headers: int, last: LastHead) -> ResponseHead:
    """As L{parse_response_head}; see L{read_request_head}.

    @raise BadMessage: see there.
    """
    known = last.response
    if known is not None:
        if raw == last.before:
            return known  # it says no length
        said = last.length(raw)
        if said >= 0:
            return _response_of(known, said)
    if len(raw) > _MAX_BYTES:
        return parse_response_head(raw, max_headers=max_headers)
    length = _LENGTH.search(raw)
    if length is None:
        head = _whole_response(raw, max_headers)
        last.before, last.after, last.response = raw, _NEVER, head
        return head
    start, end = length.span(1)
    before, after = raw[:start], raw[end:]
    try:
        head = _response(before, after, max_headers)
    except BadMessage:
        return parse_response_head(raw, max_headers=max_headers)
    last.before, last.after, last.response = before, after, head
    return _response_of(head, int(length[1]))


def _response_of(head: ResponseHead, length: int) -> ResponseHead:
    return ResponseHead(
        head.status,
        head.reason,
        head.minor_version,
        head.headers,
        head.fields,
        head.onward,
        head.framing,
        length,
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
