"""Sockets in memory.

A direction of a connection is what TCP makes of one: bytes in order, in pieces of any size, each after any time, and
behind them a FIN, or instead of them a reset; so many bytes and no more on their way to one that does not read.
"""

from __future__ import annotations

import errno
import socket
from collections import deque
from collections.abc import Callable
from select import EPOLLERR, EPOLLHUP, EPOLLIN, EPOLLOUT
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.simulation.network import Address, Network


class Socket:
    """One end of a connection, or what listens for them.  The gateway's reactor uses it as C{socket.socket}.

    @ivar gateway: it is the gateway's; otherwise a script has it, and C{heard} is called when something came.
    @ivar inbox: bytes that came and were not read.
    @ivar eof: no more will come.
    @ivar error: the connection is no more.
    """

    def __init__(self, network: Network, *, address: Address = ("", 0)) -> None:
        self.network = network
        self.fd = network.new_fd()
        network.open[self.fd] = self
        self.address = address
        self.peer: Socket | None = None
        self.gateway = False
        self.connected = False
        self.connecting = False
        self.listening = False
        self.closed = False
        self.write_shut = False
        self.eof = False
        self.error = 0
        self.inbox = bytearray()
        self.backlog: deque[Socket] = deque()
        self.heard: Callable[[], None] | None = None
        self.roomy: Callable[[], None] | None = None
        self._flight = 0  # bytes on their way to the peer
        self._last = 0.0  # when the last piece will arrive there
        self._stalled_until = 0.0
        self._epoch = 0  # a reset overtakes what was sent before it
        self._linger = True

    # -- as the reactor has it -------------------------------------------------------------------------------

    def fileno(self) -> int:
        return -1 if self.closed else self.fd

    def setblocking(self, flag: bool) -> None:
        pass

    def setsockopt(self, level: int, option: int, value: Any) -> None:
        if (level, option) == (socket.SOL_SOCKET, socket.SO_LINGER):
            self._linger = False

    def getsockopt(self, level: int, option: int) -> int:
        if (level, option) == (socket.SOL_SOCKET, socket.SO_ERROR):
            return self.error
        return 0

    def getsockname(self) -> Address:
        return self.address

    def getpeername(self) -> Address:
        assert self.peer is not None
        return self.peer.address

    def bind(self, address: Address) -> None:
        self.address = address

    def listen(self, backlog: int) -> None:
        self.listening = self.gateway = True
        self.network.listening[self.address[1]] = self

    def accept(self) -> tuple[Socket, Address]:
        if not self.backlog:
            raise BlockingIOError(errno.EWOULDBLOCK, "nobody is there")
        taken = self.backlog.popleft()
        return taken, taken.getpeername()

    def connect_ex(self, address: Address) -> int:
        if self.connected:
            return errno.EISCONN
        if not self.connecting:
            self.connecting = self.gateway = True
            self.network.after(self.network.latency(), lambda: self._knock(address))
        return errno.EINPROGRESS

    def recv(self, size: int) -> bytes:
        if self.inbox:
            data = bytes(self.inbox[:size])
            del self.inbox[:size]
            peer = self.peer
            if peer is not None and not peer.closed:
                self.network.poke(peer)
                if peer.roomy is not None:
                    self.network.after(0.0, peer.has_room)
            return data
        if self.error:
            raise ConnectionResetError(self.error, "reset")
        if self.eof:
            return b""
        raise BlockingIOError(errno.EWOULDBLOCK, "nothing is there")

    def send(self, data: Any) -> int:
        if self.error or self.write_shut:
            raise BrokenPipeError(self.error or errno.EPIPE, "broken")
        size = min(len(data), self.room)
        if not size:
            raise BlockingIOError(errno.EWOULDBLOCK, "no room")
        self._launch(bytes(data[:size]))
        return size

    def shutdown(self, how: int) -> None:
        if not self.connected or self.error:
            raise OSError(errno.ENOTCONN, "not connected")
        if how in (socket.SHUT_WR, socket.SHUT_RDWR) and not self.write_shut:
            self.write_shut = True
            self._arrives(lambda peer: peer._fin())

    def close(self) -> None:
        if self.closed:
            return
        if self.listening:
            self.network.listening.pop(self.address[1], None)
            for waiting in self.backlog:
                waiting.reset()
        elif self.connected and not self.error:
            if not self._linger or self.inbox:
                self.reset()
            elif not self.write_shut:
                self.write_shut = True
                self._arrives(lambda peer: peer._fin())
        self._forget()

    # -- beneath ---------------------------------------------------------------------------------------------

    @property
    def room(self) -> int:
        """Bytes that may be sent now."""
        peer = self.peer
        return self.network.temper.window - self._flight - (len(peer.inbox) if peer is not None else 0)

    @property
    def unacknowledged(self) -> int:
        """Bytes that the other side has yet to take."""
        return self.network.temper.window - self.room

    def mask(self) -> int:
        """What there is to tell, as C{epoll} has it."""
        if self.listening:
            return EPOLLIN if self.backlog else 0
        if self.error:
            return EPOLLIN | EPOLLOUT | EPOLLERR | EPOLLHUP
        if not self.connected:
            return 0
        mask = EPOLLIN if self.inbox or self.eof else 0
        if not self.write_shut and self.room > 0:
            mask |= EPOLLOUT
        return mask | EPOLLHUP if self.eof and self.write_shut else mask

    def reset(self) -> None:
        """Break the connection from this side: what is on its way may get lost."""
        if self.connected and not self.error:
            self.error = errno.ECONNRESET
            if self.network.rng.random() < 0.5:
                self._epoch += 1
                self._last = self.network.now
            self._arrives(lambda peer: peer._reset())
        self._forget()

    def cut(self) -> None:
        """Somebody between breaks it, for both."""
        for end in (self, self.peer):
            if end is not None and not end.closed and end.connected:
                end._epoch += 1
                end._reset()

    def stall(self, seconds: float) -> None:
        """What is sent from now on arrives after that."""
        self._stalled_until = max(self._stalled_until, self.network.now + seconds)

    def has_room(self) -> None:
        """Tell the script."""
        if self.roomy is not None and not self.closed and self.room > 0:
            self.roomy()

    def _launch(self, data: bytes) -> None:
        rng, (least, most) = self.network.rng, self.network.temper.piece
        at = 0
        while at < len(data):
            size = rng.randint(least, most) if most else len(data)
            piece = data[at : at + size]
            at += size
            self._flight += len(piece)
            self._arrives(lambda peer, piece=piece: self._landed(peer, piece), len(piece))  # type: ignore[misc]

    def _arrives(self, action: Callable[[Socket], None], size: int = 0) -> None:
        network = self.network
        self._last = max(self._last, network.now + network.latency(), self._stalled_until)
        epoch = self._epoch

        def arrive() -> None:
            if epoch != self._epoch:
                self._flight -= size
            elif self.peer is not None:
                action(self.peer)

        network.at(self._last, arrive)

    def _landed(self, peer: Socket, piece: bytes) -> None:
        self._flight -= len(piece)
        if peer.closed:
            if not self.error:  # its system answers for it
                self.network.after(self.network.latency(), self._reset)
        elif not peer.error:
            peer.inbox += piece
            peer._tell()

    def _fin(self) -> None:
        if not self.closed:
            self.eof = True
            self._tell()

    def _reset(self) -> None:
        if not self.error:
            self.error = errno.ECONNRESET
            self._epoch += 1
            self._tell()

    def _tell(self) -> None:
        if self.gateway:
            self.network.ready[self.fd] = self
        elif self.heard is not None and not self.closed:
            self.heard()

    def _forget(self) -> None:
        self.closed = True
        self.network.open.pop(self.fd, None)
        self.network.ready.pop(self.fd, None)

    def _knock(self, address: Address) -> None:
        if self.closed:
            return
        server = self.network.servers.get(address)
        answer = "refuse" if server is None else server.knock()
        if answer == "ignore":
            return
        if answer == "refuse" or server is None:
            self.error = errno.ECONNREFUSED
        else:
            server.accepted(self.network.pair(self, address))
        self._tell()
