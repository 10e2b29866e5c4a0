"""Requests that come without TLS, where they are to come with it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from aibrix_twisted.domain.exchange import Exchange
from aibrix_twisted.errors import MalformedRequest
from aibrix_twisted.service.downstream.reply import Reply
from aibrix_twisted.service.exchange.local import HEALTH, READY, Local
from aibrix_twisted.service.exchange.respond import send_error, send_own
from aibrix_twisted.wire.head import RequestHead

if TYPE_CHECKING:
    from aibrix_twisted.service.exchange.exchanges import Exchanges

#: Load balancers ask for these where they always did.
NOT_REDIRECTED: Final = frozenset({HEALTH, READY})

#: What C{host} says beside the name or the address.
_PORT: Final = re.compile(rb":[0-9]*\Z")


class Redirect(Local):
    """Says, once the request is there, where it should have gone: with 308, so that it is sent there as it is, method,
    body and all (RFC 9110 §15.4.9)."""

    __slots__ = ("_head", "_port")

    def __init__(self, exchanges: Exchanges, exchange: Exchange, reply: Reply, head: RequestHead, port: int) -> None:
        super().__init__(exchanges, exchange, reply)
        self._head = head
        self._port = port

    def begin(self, body: bytes) -> None:
        """Its body is of no interest here."""
        self.exchange.stamps.read = self._exchanges.seconds()
        location = https_url(self._head, self._port)
        if location:
            send_own(308, ((b"location", location),), b"", self.exchange, self._reply)
        else:
            error = MalformedRequest("there is no host header, and the path is only to be had with https")
            self.exchange.failed(error)
            send_error(error, self.exchange, self._reply)
        self._settle()


def https_url(head: RequestHead, port: int) -> bytes:
    """What was asked for, with https; empty where the client does not say of which host."""
    host = _PORT.sub(b"", head.fields.get(b"host", b""))
    if not host:
        return b""
    return b"https://%b%b%b%b" % (host, b"" if port == 443 else b":%d" % port, head.path, head.query)
