"""Clients that take their time, and as much as they can: security's section 6, the client's side, and the process."""

from __future__ import annotations

from typing import Final, NamedTuple

#: What is asked of the daemon whose patience is tried.
PATIENCE: Final = """
[retry]
attempts = 1
[breaker]
enabled = false
[health]
probe_interval = 0
[timeouts]
client_header = 1.0
client_body = 9.0
client_body_idle = 2.0
client_stall = 2.0
keepalive = 1.5
keepalive_age = 3.0
connect = 1.0
[limits]
body_bytes = 100000
keepalive_requests = 7
"""

_HEAD: Final = b"POST /v1/completions HTTP/1.1\r\nhost: gw\r\nx-case: slow\r\n"
_LENGTH: Final = _HEAD + b"content-length: 50000\r\n\r\n"
_CHUNKED: Final = _HEAD + b"transfer-encoding: chunked\r\n\r\n"


class Slow(NamedTuple):
    """A client that sends something at once, and then something again and again.

    @ivar more: what it sends every C{every_s} seconds, for as long as it can.
    @ivar status: what it is told in the end; 0: nothing.
    @ivar after_s: when, from the first byte on: not before, and not more than a moment later.
    """

    id: str
    first: bytes
    more: bytes
    every_s: float
    status: int
    after_s: float


SLOW: Final = (
    Slow("slow-nothing", b"", b"", 1.0, 0, 1.0),
    Slow("slow-crlf-only", b"\r\n", b"", 1.0, 408, 1.0),
    Slow("slowloris-start", b"P", b"", 1.0, 408, 1.0),
    Slow("slowloris-header", _HEAD + b"x: ", b"y", 0.1, 408, 1.0),
    Slow("slowloris-lines", _HEAD, b"x: y\r\n", 0.1, 408, 1.0),
    Slow("slowloris-second", b"GET /healthz HTTP/1.1\r\nhost: gw\r\n\r\nGET /hea", b"l", 0.1, 408, 1.0),
    Slow("slow-body-nothing", _LENGTH, b"", 1.0, 408, 2.0),
    Slow("slow-body-stops", _LENGTH + b"x" * 40_000, b"", 1.0, 408, 2.0),
    Slow("slow-body-3-bytes", _LENGTH, b"xxx", 1.0, 408, 5.0),
    Slow("slow-body-3-bytes-chunked", _CHUNKED, b"3\r\nxxx\r\n", 1.0, 408, 5.0),
    Slow("slow-body-chunk-size", _CHUNKED, b"0", 1.5, 408, 2.0),
    Slow("slow-body-chunk-extension", _CHUNKED + b"5;a", b"a", 1.0, 408, 2.0),
    Slow("slow-body-total", _LENGTH, b"x" * 100, 0.2, 408, 9.0),
    Slow("slow-body-refused", _LENGTH.replace(b"completions", b"nowhere"), b"x", 0.1, 404, 0.0),
    Slow("keepalive-idle", b"GET /healthz HTTP/1.1\r\nhost: gw\r\n\r\n", b"", 1.0, 200, 1.5),
)


class Sized(NamedTuple):
    """A request that is as large as it may be, or larger.

    @ivar raw: all of it, or as much as says that it will be too large.
    """

    id: str
    raw: bytes
    status: int


def _json(size: int) -> bytes:
    return b'{"model":"m","x":"' + b"x" * (size - 20) + b'"}'


SIZED: Final = (
    Sized("limit-body-cl", _HEAD + b"content-length: 100000\r\n\r\n" + _json(100_000), 200),
    Sized("limit-body-cl-over", _HEAD + b"content-length: 100001\r\n\r\n", 413),
    Sized("limit-body-cl-18-digits", _HEAD + b"content-length: 999999999999999999\r\n\r\n", 413),
    Sized("limit-body-cl-expect", _HEAD + b"expect: 100-continue\r\ncontent-length: 100001\r\n\r\n", 413),
    Sized("limit-body-chunked", _CHUNKED + b"186a0\r\n" + _json(100_000) + b"\r\n0\r\n\r\n", 200),
    Sized("limit-body-chunked-over", _CHUNKED + b"186a1\r\n", 413),
    Sized("limit-body-chunked-many", _CHUNKED + b"3e8\r\n%b\r\n" % (b"x" * 1000) * 101, 413),
    Sized("limit-body-chunks-of-one", _CHUNKED + b"1\r\nx\r\n" * 100_001, 413),
    Sized("limit-body-bomb", _CHUNKED + b"fffffff\r\n" + b"x" * 1_000_000, 413),
)
