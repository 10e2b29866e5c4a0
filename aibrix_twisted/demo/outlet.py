"""Writes one answer to a client, rightly framed or wrongly, as its fault wants it."""

from __future__ import annotations

import fcntl
import random
import socket
import struct
import sys
import termios
from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from aibrix_twisted.demo.faults import Fault
from aibrix_twisted.wire.framing import LAST_CHUNK, REASONS, header_lines, response_head

Headers = list[tuple[bytes, bytes]]

#: An SO_LINGER that makes a close a reset.
_RESET = struct.pack("ii", 1, 0)


class Outlet:
    """C{head}, any number of C{piece}, C{end}.

    @ivar over: nothing more is written, and the connection is closed or about to be.
    @ivar keep: the connection may serve another request, as far as the answer's head is to say.
    @ivar more: headers that every answer has.
    """

    def __init__(
        self, transport: Any, clock: IReactorTime, lot: random.Random, fault: Fault, done: Callable[[bool], None]
    ) -> None:
        """@param done: told once that the answer is written, and whether the connection may serve another."""
        self._transport = transport
        self._clock = clock
        self._lot = lot
        self._fault = fault
        self._done = done
        self._chunked = False
        self._cut = False
        self._body_bytes = 0
        self._queue = b""
        self._queued = "split" in fault or "drip" in fault
        self._pump: IDelayedCall | None = None
        self._after: Callable[[], None] | None = None
        self.over = False
        self.keep = True
        self.more: Headers = []

    def close_after(self) -> None:
        """Close the connection after the answer, without a word of it in the head."""
        self._fault = {**self._fault, "idle_close": 1}

    def head(self, status: int, headers: Headers, length: int | None) -> None:
        """@param length: of the body; C{None} for chunks."""
        fault = self._fault
        headers = [*headers, *self.more]
        if "http10" in fault:
            self.keep = False
        elif length is None or "both_lengths" in fault:
            headers.append((b"transfer-encoding", b"chunked"))
            self._chunked = True
        if length is not None and "http10" not in fault:
            headers.append((b"content-length", b"%d" % max(0, length + fault.get("wrong_length", 0))))
        if "gzip_claim" in fault:
            headers.append((b"content-encoding", b"gzip"))
        if "huge_head" in fault:
            headers += [(b"x-padding-%d" % number, b"x" * 1000) for number in range(100)]
        if not self.keep:
            headers.append((b"connection", b"close"))
        out = response_head(status, REASONS.get(status, b"Unknown"), header_lines(headers))
        if "http10" in fault:
            out = out.replace(b"HTTP/1.1", b"HTTP/1.0", 1)
        if "bad_head" in fault:
            out = out.replace(b"HTTP/1.1", b"HTTQ/1.1", 1)
        if "interim_103" in fault:
            out = b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n" + out
        if "two_heads" in fault:
            out += out
        self._put(out)

    def piece(self, data: bytes) -> None:
        """Some of the body."""
        if self.over or not data:
            return
        if self._chunked:
            size = b"zz" if "bad_chunk" in self._fault else b"%x" % len(data)
            data = b"%b\r\n%b\r\n" % (size, data)
        self._body(data)

    def end(self) -> None:
        """The body is whole."""
        fault = self._fault
        if self.over:
            return
        if "close_before_last_chunk" in fault or "rst_before_last_chunk" in fault:
            self._close(reset="rst_before_last_chunk" in fault)
            return
        last = LAST_CHUNK if self._chunked else b""
        if "duplicate_last_chunk" in fault:
            last += last
        if "garbage_after" in fault:
            last += b"garbage"
        self._body(last)
        if self._cut:
            return
        if "rst_after_last_chunk" in fault:
            self._close(reset=True)
        elif not self.keep or fault.keys() & {"close_after_last_chunk", "idle_close"} or self._short():
            self._close(reset=False)
        else:
            self.over = True
            self._when_out(lambda: self._done(True))

    def close(self, *, reset: bool) -> None:
        """End it here."""
        if not self.over:
            self._close(reset=reset)

    def lost(self) -> None:
        """The connection is gone."""
        self.over = True
        self._after = None
        self._queue = b""
        if self._pump is not None and self._pump.active():
            self._pump.cancel()

    def _short(self) -> bool:
        """More was promised than was given."""
        return self._fault.get("wrong_length", 0) > 0

    def _body(self, data: bytes) -> None:
        for name in ("cut", "rst"):
            left = self._fault.get(name, -1)
            if left >= 0 and self._body_bytes + len(data) >= left:
                self._put(data[: left - self._body_bytes])
                self._cut = True
                self._close(reset=name == "rst")
                return
        self._body_bytes += len(data)
        self._put(data)

    def _put(self, data: bytes) -> None:
        if not self._queued:
            self._transport.write(data)
            return
        self._queue += data
        if self._pump is None:
            self._turn()

    def _turn(self) -> None:
        """Write a piece of what is queued, and come again."""
        self._pump = None
        size = 1 if "drip" in self._fault else self._lot.choice((1, 7, 64, 512, 4096, 65536))
        piece, self._queue = self._queue[:size], self._queue[size:]
        if piece:
            self._transport.write(piece)
        if self._queue:
            self._pump = self._clock.callLater(self._fault.get("drip", 0) / 1000, self._turn)
        elif self._after is not None:
            after, self._after = self._after, None
            after()

    def _when_out(self, action: Callable[[], None]) -> None:
        if self._pump is None:
            action()
        else:
            self._after = action

    def _close(self, *, reset: bool) -> None:
        self.over = True
        self._when_out(self._reset if reset else self._transport.loseConnection)

    def _reset(self) -> None:
        """Once what was written has arrived, a close that throws away the rest on both sides."""
        handle = getattr(self._transport, "socket", None)
        beneath = getattr(self._transport, "transport", self._transport)  # TLS would say good-bye
        if handle is None or not self._transport.connected:
            self._transport.abortConnection()
        elif _unsent_bytes(beneath) or _unheard_bytes(handle):
            self._clock.callLater(0.001, self._reset)
        else:
            handle.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            beneath.abortConnection()


def _unsent_bytes(transport: Any) -> int:
    """How many bytes Twisted has yet to give to the socket: its own reactors send in their next turn."""
    return int(getattr(transport, "_tempDataLen", 0)) + len(getattr(transport, "dataBuffer", b""))


def _unheard_bytes(handle: socket.socket) -> int:
    """How many bytes that were sent the other side has not acknowledged: a reset would take them back (tcp(7))."""
    count = fcntl.ioctl(handle.fileno(), termios.TIOCOUTQ, bytes(4))
    return int.from_bytes(count, sys.byteorder)
