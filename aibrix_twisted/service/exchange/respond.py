"""The heads of what goes back: an engine's, with what we add; our own errors; our own documents."""

from __future__ import annotations

from typing import Final

from aibrix_twisted.domain.exchange import Exchange
from aibrix_twisted.errors import GatewayError
from aibrix_twisted.service.downstream.reply import Headers, Reply
from aibrix_twisted.wire.error_object import error_body
from aibrix_twisted.wire.framing import HOP_BY_HOP, REASONS, forwardable
from aibrix_twisted.wire.head import ResponseHead

#: Ours to set.
_NOT_PASSED_ON: Final = HOP_BY_HOP | frozenset(
    {
        b"content-length",
        b"request-id",
        b"routing-strategy",
        b"x-aibrix-attempts",
        b"x-aibrix-edited",
        b"x-aibrix-replica",
        b"x-request-id",
    }
)

#: So that nothing between us and the client holds a stream back.
_STREAM: Final = ((b"cache-control", b"no-cache"), (b"x-accel-buffering", b"no"))

_JSON: Final = (b"content-type", b"application/json")


def reply_headers(exchange: Exchange, head: ResponseHead, *, streamed: bool) -> Headers:
    """An engine's headers as the client gets them, but for framing."""
    headers = forwardable(head.headers, head.fields, _NOT_PASSED_ON)
    headers += _ours(exchange)
    headers.append((b"x-aibrix-replica", exchange.replica.encode()))
    headers.append((b"routing-strategy", exchange.policy.encode()))
    if exchange.edited:
        headers.append((b"x-aibrix-edited", ",".join(exchange.edited).encode()))
    if streamed:
        headers += [line for line in _STREAM if line[0] not in head.fields]
    return headers


#: What a stream that waits for a replica is sent: a comment, which clients pass over (WHATWG HTML §9.2.5).
PING: Final = b": waiting for a replica\n\n"


def begin_pinged(exchange: Exchange, reply: Reply) -> None:
    """Begin a stream before any replica has it.  Which one will is not known yet, so its head cannot say."""
    headers = [(b"content-type", b"text/event-stream; charset=utf-8"), *_STREAM, *_ours(exchange)]
    reply.begin(200, REASONS[200], headers, PING, length=None)


def send_error(error: GatewayError, exchange: Exchange, reply: Reply) -> None:
    """OpenAI's error object, with AIBrix's headers where it has any for the case."""
    body = error_body(str(error), error.status, error.param, error.said_code)
    send_own(error.status, [_JSON, *error.headers], body, exchange, reply)


def send_document(body: bytes, exchange: Exchange, reply: Reply, *, status: int = 200) -> None:
    """A JSON document of our own."""
    send_own(status, [_JSON], body, exchange, reply)


def send_own(status: int, headers: Headers, body: bytes, exchange: Exchange, reply: Reply) -> None:
    """An answer that no engine had a part in, whole."""
    reply.begin(status, REASONS[status], headers + _ours(exchange), body, length=len(body))
    reply.finish()


def _ours(exchange: Exchange) -> Headers:
    id = exchange.id.encode()
    if exchange.attempts > 1:
        return [(b"x-request-id", id), (b"request-id", id), (b"x-aibrix-attempts", b"%d" % exchange.attempts)]
    return [(b"x-request-id", id), (b"request-id", id)]
