"""The heads of what goes back: an engine's, with what we add; our own errors; our own documents."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from aibrix_twisted.domain.exchange import Exchange
from aibrix_twisted.errors import GatewayError
from aibrix_twisted.service.downstream.reply import Headers, Reply
from aibrix_twisted.wire.error_object import error_body
from aibrix_twisted.wire.framing import REASONS, header_lines
from aibrix_twisted.wire.head import ResponseHead

_JSON: Final = (b"content-type", b"application/json")


def reply_headers(exchange: Exchange, head: ResponseHead, *, streamed: bool) -> Headers:
    """An engine's headers as the client gets them, but for framing."""
    lines = b"%b%bx-aibrix-replica: %b\r\nrouting-strategy: %b\r\n" % (
        head.onward,
        _ours(exchange),
        exchange.replica.encode(),
        exchange.policy.encode(),
    )
    if exchange.edited:
        lines += b"x-aibrix-edited: %b\r\n" % ",".join(exchange.edited).encode()
    if streamed:
        if b"cache-control" not in head.fields:
            lines += b"cache-control: no-cache\r\n"
        if b"x-accel-buffering" not in head.fields:
            lines += b"x-accel-buffering: no\r\n"
    return lines


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
