"""What goes back to a client for one request: one head, a body, one end."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from aibrix_twisted.domain.exchange import Spooled
from aibrix_twisted.wire.framing import LAST_CHUNK, chunk, response_head

if TYPE_CHECKING:
    from aibrix_twisted.service.downstream.spool import Spool


class Line(Protocol):
    """The client's connection, as a reply sees it."""

    @property
    def write(self) -> Callable[[bytes], None]:
        """Sends."""
        ...

    def limit_ahead(self, ahead: int) -> None:
        """Let what is written get ahead of the client by so many bytes, and no more."""
        ...

    def cut_off(self, why: str) -> None:
        """Close at once, whatever is unsent."""
        ...

    def reply_over(self, *, keep: bool) -> None:
        """The reply was given whole; keep the connection for the next request, or close it."""
        ...

    def reply_cut(self) -> None:
        """The reply ends visibly unfinished: close once what was written is out."""
        ...


#: Lines of a head, each with its line end.
Headers = bytes


class Reply:
    """Written once, in order: C{begin}, any number of C{write}, C{finish} or C{cut}, and C{let_go}.

    The body is framed by its length where C{begin} is told of one, else in chunks, and towards an HTTP/1.0 client
    by the connection's close.

    @ivar begun: the head is out; nothing can be taken back.
    @ivar whole: the body is out, to its end.
    @ivar bytes_out: bytes of body written for the client, framing not counted.
    @ivar spool: a file where the client is fed out of one, for it is too slow.
    """

    __slots__ = (
        "_added",
        "_chunked",
        "_keep",
        "_line",
        "_minor_version",
        "_send",
        "_unspooled",
        "_without_body",
        "begun",
        "bytes_out",
        "spool",
        "status",
        "whole",
    )

    def __init__(
        self, line: Line, *, minor_version: int, keep_alive: bool, without_body: bool, added: Headers = b""
    ) -> None:
        """@param added: to every head on this connection."""
        self._line = line
        self._added = added
        self._send: Callable[[bytes], None] = line.write
        self._minor_version = minor_version
        self._keep = keep_alive
        self._without_body = without_body
        self._chunked = False
        self.begun = False
        self.whole = False
        self.bytes_out = 0
        self.spool: Spool | None = None
        self._unspooled = 0
        self.status = 0

    def limit_ahead(self, ahead: int) -> None:
        """Let it get ahead of the client by so many bytes, and no more: then the exchange is told to pause."""
        self._line.limit_ahead(ahead)

    def spool_to(self, spool: Spool) -> None:
        """What is written from here on goes there."""
        self.spool = spool
        self._send = spool.write
        self._unspooled = self.bytes_out

    @property
    def bytes_given(self) -> int:
        """Bytes of body that the client was given; what is left of them in a file was not.

        There, framing is among them: body is as much of what is left as of all that came there.
        """
        spool = self.spool
        if spool is None or not spool.left:
            return self.bytes_out
        return self.bytes_out - (self.bytes_out - self._unspooled) * spool.left // spool.passed

    def close_after(self) -> None:
        """Do not keep the connection: the rest of the request is not wanted, or we are draining."""
        self._keep = False

    def begin(self, status: int, reason: bytes, headers: Headers, data: bytes, *, length: int | None) -> None:
        """Send the head and the first of the body in one piece.

        @param headers: complete but for framing and C{connection}.
        @param length: of the whole body, where it is known.
        """
        self.begun = True
        self.status = status
        headers += self._added
        if status in (204, 304):
            pass
        elif length is not None:
            headers += b"content-length: %d\r\n" % length
        elif self._minor_version:
            headers += b"transfer-encoding: chunked\r\n"
            self._chunked = not self._without_body
        else:
            self._keep = False
        if not self._keep:
            headers += b"connection: close\r\n"
        head = response_head(status, reason, headers)
        if not data or self._without_body:
            self._send(head)
            return
        self.bytes_out += len(data)
        self._send(head + (chunk(data) if self._chunked else data))

    def write(self, data: bytes) -> None:
        """More of the body.  HOT: once a read of a stream."""
        self.bytes_out += len(data)
        self._send(chunk(data) if self._chunked else data)

    def finish(self) -> None:
        """The body is whole."""
        self.whole = True
        if self._chunked:
            self._send(LAST_CHUNK)

    def cut(self, event: bytes) -> None:
        """The body will not be whole: say so in a last event, if one is given, and end without the last chunk."""
        if event:
            self.write(event)

    def stop_feeding(self, why: str) -> None:
        """The client is not given what is in a file for it: it is cut off."""
        if self.spool is not None:
            self.spool.close(Spooled.STOPPED)
        self._line.cut_off(why)

    def let_go(self) -> None:
        """Everything is written and counted: the connection may go on, or close."""
        if self.whole:
            self._line.reply_over(keep=self._keep)
        else:
            self._line.reply_cut()
