"""The heads of what goes back: an engine's, with what we add; our own errors; our own documents."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable
from typing import Final

from aibrix_twisted.domain.exchange import Exchange
from aibrix_twisted.errors import GatewayError
from aibrix_twisted.service.downstream.reply import Headers, Reply
from aibrix_twisted.wire.error_object import error_body
from aibrix_twisted.wire.framing import REASONS, header_lines
from aibrix_twisted.wire.head import ResponseHead

#: So that nothing between us and the client holds a stream back.
_STREAM: Final = ((b"cache-control", b"no-cache"), (b"x-accel-buffering", b"no"))

_JSON: Final = (b"content-type", b"application/json")


def reply_headers(exchange: Exchange, head: ResponseHead, *, streamed: bool) -> Headers:
    """An engine's headers as the client gets them, but for framing."""
    lines = b"%b%bx-aibrix-replica: %b\r\nrouting-strategy: %b\r\n" % (
        head.onward,
        _ours(exchange),
        exchange.replica.encode(),
        exchange.policy.encode(),
    )
    lines += server_timing(exchange)
    if exchange.sticky:
        lines += b"x-session-id: %b\r\n" % b64encode(exchange.replica.encode())
    if exchange.profile:
        lines += b"x-aibrix-config-profile: %b\r\n" % exchange.profile.encode()
    if exchange.edited:
        lines += b"x-aibrix-edited: %b\r\n" % ",".join(exchange.edited).encode()
    if streamed:
        lines += header_lines([line for line in _STREAM if line[0] not in head.fields])
    return lines


def server_timing(exchange: Exchange) -> Headers:
    """How the time went until now, in milliseconds (W3C Server Timing §3)."""
    stamps, served = exchange.stamps, exchange.served
    if served is None or served.sent is None:
        return b""
    return b"server-timing: queue;dur=%b, route;dur=%b, connect;dur=%b, ttft;dur=%b\r\n" % (
        _ms(exchange.queued_s),
        _ms(served.started - served.ready),
        _ms(served.sent - served.started),
        _ms(stamps.ttft_s or 0.0),
    )


def _ms(seconds: float) -> bytes:
    """Milliseconds, to the microsecond; rounding takes longer than to look it up."""
    at = int(seconds * 1e6 + 0.5)
    return _SHORT[at] if 0 <= at < len(_SHORT) else b"%.3f" % (seconds * 1e3)


#: What is below two milliseconds, by microseconds: nearly all but the time to first token.
_SHORT: Final = [b"%.3f" % (us / 1e3) for us in range(2000)]


#: What a stream that waits for a replica is sent: a comment, which clients pass over (WHATWG HTML §9.2.5).
PING: Final = b": waiting for a replica\n\n"


def begin_pinged(exchange: Exchange, reply: Reply) -> None:
    """Begin a stream before any replica has it.  Which one will is not known yet, so its head cannot say."""
    lines = header_lines(((b"content-type", b"text/event-stream; charset=utf-8"), *_STREAM)) + _ours(exchange)
    reply.begin(200, REASONS[200], lines, PING, length=None)


def send_error(error: GatewayError, exchange: Exchange, reply: Reply) -> None:
    """OpenAI's error object, with AIBrix's headers where it has any for the case."""
    body = error_body(str(error), error.status, error.param, error.said_code)
    send_own(error.status, (_JSON, *error.headers), body, exchange, reply)


def send_document(body: bytes, exchange: Exchange, reply: Reply, *, status: int = 200) -> None:
    """A JSON document of our own."""
    send_own(status, (_JSON,), body, exchange, reply)


def send_own(
    status: int, headers: Iterable[tuple[bytes, bytes]], body: bytes, exchange: Exchange, reply: Reply
) -> None:
    """An answer that no engine had a part in, whole."""
    reply.begin(status, REASONS[status], header_lines(headers) + _ours(exchange), body, length=len(body))
    reply.finish()


def _ours(exchange: Exchange) -> Headers:
    id = exchange.id.encode()
    lines = b"x-request-id: %b\r\nrequest-id: %b\r\n" % (id, id)
    return lines + b"x-aibrix-attempts: %d\r\n" % exchange.attempts if exchange.attempts > 1 else lines
