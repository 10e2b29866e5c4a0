"""The head of an HTTP/1.1 message, strictly: RFC 9112 and nothing that it forbids.

A head is taken whole, up to its empty line, and held against the grammar in one regular expression; only then are
its fields read, by a second one.  That is faster than a callback for each field, and it leaves no room for what a
lenient parser lets through: a bare LF or CR, an obsolete line folding, a space before a colon, a NUL.  What fails
is looked at line by line, for the sole purpose of saying what was wrong with it.
"""

from __future__ import annotations

import enum
import re
from typing import Final

from aibrix_twisted.wire.onward import NOT_PASSED_ON, NOT_SENT_ON, Fields, Headers, onward, options_of

_TOKEN: Final = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_VALUE: Final = rb"[\t\x20-\x7e\x80-\xff]*"
_LINES: Final = rb"((?:" + _TOKEN + rb":" + _VALUE + rb"\r\n)*)\r\n"

#: Every method there is begins with a letter; what does not is another protocol, or a body that is out of place.
_METHOD: Final = rb"[A-Za-z][!#$%&'*+\-.^_`|~0-9A-Za-z]*"

_REQUEST: Final = re.compile(rb"(?:\r\n)?(" + _METHOD + rb") ([\x21\x22\x24-\x7e]+) HTTP/([0-9])\.([0-9])\r\n" + _LINES)
_RESPONSE: Final = re.compile(rb"HTTP/1\.([01]) ([1-5][0-9]{2})(?: (" + _VALUE + rb"))?\r\n" + _LINES)
_FIELD: Final = re.compile(rb"([^:\r\n]+):[\t ]*((?:[^\r\n]*[^\t \r\n])?)[\t ]*\r\n")
_FIELD_LINE: Final = re.compile(_TOKEN + rb":" + _VALUE)
_LENGTH: Final = re.compile(rb"[0-9]{1,18}")
_HOST: Final = re.compile(rb"(?:[A-Za-z0-9\-._~!$&'()*+,;=%]+|\[[0-9A-Fa-f:.]+\])(?::([0-9]{0,5}))?")
_ABSOLUTE: Final = re.compile(rb"https?://([^/?]*)([^?]*)(\?.*)?", re.IGNORECASE)

#: Bodies that a method may bring along are framed by these only.
_CHUNKED: Final = b"chunked"


class BadMessage(Exception):
    """What came is not HTTP/1.1 as RFC 9112 has it, or is beyond a limit.

    @ivar status: what a server answers to such a request.
    @ivar reason: which rule, out of: C{start_line}, C{version}, C{method}, C{target}, C{header_line}, C{host},
        C{length}, C{transfer_encoding}, C{expect}, C{head_too_large}, C{line_too_long}, C{too_many_headers},
        C{body_too_large}, C{chunk}, C{trailer}, C{interim}, C{cut}, C{excess}.
    """

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason


class Framing(enum.Enum):
    """What ends a response's body (RFC 9112 §6.3)."""

    NONE = "none"
    LENGTH = "length"
    CHUNKED = "chunked"
    CLOSE = "close"


class RequestHead:
    """A request's head.

    @ivar path: of the target, without the query; C{*} for C{OPTIONS *}.
    @ivar query: with its C{?}, or empty.
    @ivar headers: names as they were spelled, in order; values without the space around them.
    @ivar fields: by lower-case name; repeated ones joined by a comma.
    @ivar onward: the lines that a replica gets of it, each with its line end.
    @ivar keep_alive: the client is prepared to send another request on this connection.  HTTP/1.0 has no way to say so
        that a proxy before it could not have passed on unread (RFC 9112 §C.2.2): not believed.
    """

    __slots__ = (
        "chunked",
        "content_length",
        "expects_continue",
        "fields",
        "headers",
        "keep_alive",
        "method",
        "minor_version",
        "onward",
        "path",
        "query",
    )

    def __init__(
        self,
        method: str,
        path: bytes,
        query: bytes,
        minor_version: int,
        headers: Headers,
        fields: Fields,
        onward: bytes,
        keep_alive: bool,
        content_length: int | None,
        chunked: bool,
        expects_continue: bool,
    ) -> None:
        self.method = method
        self.path = path
        self.query = query
        self.minor_version = minor_version
        self.headers = headers
        self.fields = fields
        self.onward = onward
        self.keep_alive = keep_alive
        self.content_length = content_length
        self.chunked = chunked
        self.expects_continue = expects_continue


class ResponseHead:
    """A response's head.  See L{RequestHead}.

    @ivar onward: the lines that a client gets of it, each with its line end.
    @ivar keep_alive: the connection may be used again once the body is over.
    """

    __slots__ = (
        "content_length",
        "fields",
        "framing",
        "headers",
        "keep_alive",
        "minor_version",
        "onward",
        "reason",
        "status",
    )

    def __init__(
        self,
        status: int,
        reason: bytes,
        minor_version: int,
        headers: Headers,
        fields: Fields,
        onward: bytes,
        framing: Framing,
        content_length: int | None,
        keep_alive: bool,
    ) -> None:
        self.status = status
        self.reason = reason
        self.minor_version = minor_version
        self.headers = headers
        self.fields = fields
        self.onward = onward
        self.framing = framing
        self.content_length = content_length
        self.keep_alive = keep_alive


def parse_request_head(raw: bytes, *, max_headers: int) -> RequestHead:
    """Read a whole head, its empty line included.

    @raise BadMessage: see there.
    """
    match = _REQUEST.fullmatch(raw)
    if match is None:
        raise _what_is_wrong(raw, request=True)
    method, target, major, minor, lines = match.groups()
    if major != b"1" or minor not in b"01":
        raise BadMessage(505, "version", f"HTTP/{major.decode()}.{minor.decode()}: expected HTTP/1.1 or HTTP/1.0")
    minor_version = int(minor)
    headers, fields = _read_fields(lines, max_headers, 431)
    chunked, length = _body_framing(fields, minor_version, 400)
    path, query = _path_of(method, target, _host_of(fields, minor_version))
    expect = fields.get(b"expect")
    if expect is not None and expect.lower() != b"100-continue":
        raise BadMessage(417, "expect", f"expect {_shown(expect)}: only 100-continue can be met")
    return RequestHead(
        method.decode("ascii"),
        path,
        query,
        minor_version,
        headers,
        fields,
        onward(headers, fields, NOT_SENT_ON),
        minor_version == 1 and _keeps_alive(fields, minor_version),
        length,
        chunked,
        expect is not None and minor_version == 1,
    )


def parse_response_head(raw: bytes, *, max_headers: int) -> ResponseHead:
    """Read a whole head, its empty line included.

    @raise BadMessage: see there.
    """
    match = _RESPONSE.fullmatch(raw)
    if match is None:
        raise _what_is_wrong(raw, request=False)
    minor, code, reason, lines = match.groups()
    minor_version, status = int(minor), int(code)
    headers, fields = _read_fields(lines, max_headers, 502)
    chunked, length = _body_framing(fields, minor_version, 502)
    if status < 200 or status in (204, 304):
        framing = Framing.NONE
    elif chunked:
        framing = Framing.CHUNKED
    elif length is not None:
        framing = Framing.LENGTH
    else:
        framing = Framing.CLOSE
    keep_alive = framing is not Framing.CLOSE and _keeps_alive(fields, minor_version)
    lines = onward(headers, fields, NOT_PASSED_ON)
    return ResponseHead(status, reason or b"", minor_version, headers, fields, lines, framing, length, keep_alive)


def _read_fields(lines: bytes, max_headers: int, status: int) -> tuple[Headers, Fields]:
    headers: Headers = _FIELD.findall(lines)
    if len(headers) > max_headers:
        raise BadMessage(status, "too_many_headers", f"{len(headers)} header lines: expected {max_headers} at most")
    fields: Fields = {name.lower(): value for name, value in headers}
    if len(fields) != len(headers):
        fields.clear()
        for name, value in headers:
            name = name.lower()
            fields[name] = fields[name] + b", " + value if name in fields else value
    return headers, fields


def _body_framing(fields: Fields, minor_version: int, status: int) -> tuple[bool, int | None]:
    """Whether the body is chunked, and its length where that is said.

    Where both are said, or either in a way of its own, different readers would see different bodies: refused
    (RFC 9112 §6.1, §6.3).
    """
    coding = fields.get(b"transfer-encoding")
    length = fields.get(b"content-length")
    if coding is not None:
        if length is not None:
            raise BadMessage(status, "length", "both transfer-encoding and content-length: expected one of them")
        if coding.lower() != _CHUNKED or not minor_version:
            unknown = 501 if status == 400 and minor_version and _CHUNKED not in coding.lower() else status
            raise BadMessage(
                unknown, "transfer_encoding", f"transfer-encoding {_shown(coding)}: expected chunked, in HTTP/1.1"
            )
        return True, None
    if length is None:
        return False, None
    if _LENGTH.fullmatch(length) is None:
        raise BadMessage(status, "length", f"content-length {_shown(length)}: expected 1 to 18 digits, once")
    return False, int(length)


def _keeps_alive(fields: Fields, minor_version: int) -> bool:
    value = fields.get(b"connection")
    if value is None:
        return minor_version == 1
    options = options_of(value)
    return b"close" not in options and (minor_version == 1 or b"keep-alive" in options)


def _host_of(fields: Fields, minor_version: int) -> bytes | None:
    """The one valid C{Host} (RFC 9112 §3.2).  A repeated one has a comma and fails with the rest."""
    host = fields.get(b"host")
    if host is None:
        if minor_version:
            raise BadMessage(400, "host", "no host header: expected one")
        return None
    found = _HOST.fullmatch(host)
    if b"," in host or found is None or int(found[1] or 0) > 65535:
        raise BadMessage(400, "host", f"host {_shown(host)}: expected one name or address, with or without a port")
    return host


def _path_of(method: bytes, target: bytes, host: bytes | None) -> tuple[bytes, bytes]:
    """The path and the query of a request target (RFC 9112 §3.2)."""
    if method == b"CONNECT":
        raise BadMessage(501, "method", "CONNECT: this is no proxy for connections")
    if target[:1] != b"/":
        if target == b"*" and method == b"OPTIONS":
            return target, b""
        match = _ABSOLUTE.fullmatch(target)
        if match is None:
            raise BadMessage(400, "target", f"request target {_shown(target)}: expected a path that begins with /")
        authority, path, query = match.groups()
        if host is None or authority.lower() != host.lower():
            raise BadMessage(400, "target", f"request target {_shown(target)}: its authority is not that of host")
        return path or b"/", query or b""
    path, mark, query = target.partition(b"?")
    return path, mark + query


def _what_is_wrong(raw: bytes, *, request: bool) -> BadMessage:
    """Name what keeps a head from being one."""
    status = 400 if request else 502
    start, *lines = raw.removesuffix(b"\r\n\r\n").removeprefix(b"\r\n" if request else b"").split(b"\r\n")
    whole = (_REQUEST if request else _RESPONSE).fullmatch(start + b"\r\n\r\n")
    if whole is None:
        form = "METHOD target HTTP/1.1" if request else "HTTP/1.1 status reason"
        kind = "start_line"
        if request and not re.search(rb" HTTP/[0-9]\.[0-9]$", start):
            kind = "version"
        return BadMessage(status, kind, f"start line {_shown(start)}: expected {form}")
    for line in lines:
        if _FIELD_LINE.fullmatch(line) is None:
            return BadMessage(status, "header_line", f"header line {_shown(line)}: expected name: value")
    return BadMessage(status, "header_line", "the head's lines do not end as lines do")


def _shown(raw: bytes) -> str:
    """Bytes of a stranger, as they may be said: short, and visible."""
    text = ascii(raw[:60].decode("latin-1"))
    return text if len(raw) <= 60 else text + "..."
