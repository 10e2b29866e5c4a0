"""A network in memory, and the clock that it lives by.

Everything outside the gateway happens in events of this clock: bytes that arrive, engines that say the next word, clients
that lose their patience.  The gateway's own reactor is only asked to wait, by L{Poller.poll}, and meanwhile the world
goes on to the next thing that concerns it.

A direction of a connection is what TCP makes of one: bytes in order, in pieces of any size, each after any time, and
behind them a FIN, or instead of them a reset; so many bytes and no more on their way to one that does not read.
"""

from __future__ import annotations

import errno
import socket
from collections import deque
from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count
from random import Random
from select import EPOLLERR, EPOLLHUP, EPOLLIN, EPOLLOUT
from typing import Any, Protocol

Address = tuple[str, int]


class Event:
    """Something that will happen, unless it is cancelled."""

    __slots__ = ("action",)

    def __init__(self, action: Callable[[], None]) -> None:
        self.action: Callable[[], None] | None = action

    def cancel(self) -> None:
        """It will not."""
        self.action = None


class Server(Protocol):
    """A scripted server."""

    def knock(self) -> str:
        """Somebody connects: C{accept}, C{refuse}, or C{ignore}."""
        ...

    def accepted(self, end: Socket) -> None:
        """Somebody has connected."""
        ...


class Temper:
    """How the network behaves in a run.

    @ivar latency: bounds of what a piece takes from one end to the other, in seconds.
    @ivar piece: bytes of the smallest and the largest piece that a write is cut into; 0: it is not cut.
    @ivar window: bytes that may be on their way, or unread, in one direction.
    @ivar buffer: bytes that the gateway reads at once, and from which on it holds that a client does not keep up.
    @ivar busy: the chance that the reactor, once woken, has something else to do first, and for how long at most.
    """

    def __init__(
        self,
        latency: tuple[float, float] = (0.0002, 0.002),
        piece: tuple[int, int] = (0, 0),
        window: int = 65536,
        buffer: int = 32768,
        busy: tuple[float, float] = (0.0, 0.0),
    ) -> None:
        self.latency, self.piece, self.window, self.buffer, self.busy = latency, piece, window, buffer, busy


class Network:
    """Time, and all connections.

    @ivar now: seconds since the beginning.
    @ivar offset: by so much the gateway's clock is ahead of it.
    @ivar frozen: for so many seconds the world goes on without the gateway, from its next wait.
    @ivar ready: gateway's sockets that may have something to tell, by descriptor.
    """

    def __init__(self, rng: Random, temper: Temper) -> None:
        self.rng = rng
        self.temper = temper
        self.now = 0.0
        self.offset = 1000.0
        self.frozen = 0.0
        self.ready: dict[int, Socket] = {}
        self.open: dict[int, Socket] = {}
        self.servers: dict[Address, Server] = {}
        self.listening: dict[int, Socket] = {}
        self._events: list[tuple[float, int, Event]] = []
        self._order = count()
        self._fd = count(100000)

    # -- time ------------------------------------------------------------------------------------------------

    def after(self, seconds: float, action: Callable[[], None]) -> Event:
        """Let it happen then."""
        return self.at(self.now + seconds, action)

    def at(self, when: float, action: Callable[[], None]) -> Event:
        """Let it happen then."""
        event = Event(action)
        heappush(self._events, (when, next(self._order), event))
        return event

    @property
    def next_at(self) -> float:
        """When the next thing happens."""
        return self._events[0][0] if self._events else float("inf")

    def step(self) -> None:
        """The next thing."""
        when, _, event = heappop(self._events)
        if when > self.now:
            self.now = when
        if event.action is not None:
            event.action()

    def go_to(self, when: float) -> None:
        """Everything until then."""
        while self._events and self._events[0][0] <= when:
            self.step()
        self.now = max(self.now, when)

    # -- connections -----------------------------------------------------------------------------------------

    def new_fd(self) -> int:
        """A descriptor."""
        return next(self._fd)

    def latency(self) -> float:
        """Of one piece."""
        return self.rng.uniform(*self.temper.latency)

    def pair(self, near: Socket, far_address: Address) -> Socket:
        """Connect this end; the other one is returned."""
        far = Socket(self, address=far_address)
        near.peer, far.peer = far, near
        near.connected = far.connected = True
        return far

    def connect(self, source: Address, port: int, told: Callable[[Socket | None], None]) -> None:
        """A scripted client connects to the gateway.

        @param told: with its end, or with nothing where it was refused.
        """

        def arrive() -> None:
            listener = self.listening.get(port)
            if listener is None:
                told(None)
                return
            theirs = Socket(self, address=(listener.address[0] or "192.0.2.100", port))
            ours = self.pair(theirs, source)
            theirs.gateway = True
            listener.backlog.append(theirs)
            self.poke(listener)
            told(ours)

        self.after(self.latency(), arrive)

    def poke(self, end: Socket) -> None:
        """It may have something to tell the gateway."""
        if end.gateway:
            self.ready[end.fd] = end


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


class Poller:
    """In the place of C{select.epoll}.

    @ivar woken: says whether the reactor has something to do besides.
    """

    def __init__(self, network: Network, woken: Callable[[], bool]) -> None:
        self._network = network
        self._woken = woken
        self._wanted: dict[int, int] = {}

    def register(self, fd: int, flags: int) -> None:
        if fd in self._wanted or fd not in self._network.open:
            raise OSError(errno.EEXIST if fd in self._wanted else errno.EBADF, "cannot be registered")
        self._want(fd, flags)

    def modify(self, fd: int, flags: int) -> None:
        if fd not in self._wanted:
            raise OSError(errno.ENOENT, "not registered")
        self._want(fd, flags)

    def unregister(self, fd: int) -> None:
        if self._wanted.pop(fd, None) is None:
            raise OSError(errno.ENOENT, "not registered")

    def poll(self, timeout: float, most: int) -> list[tuple[int, int]]:
        """Wait for so long, while the world goes on, or until there is something to tell."""
        network = self._network
        until = float("inf") if timeout < 0 else network.now + timeout + 1e-9
        ready = self._ready()
        while not (ready or network.frozen or self._woken()):
            if network.next_at > until:
                network.now = until
                break
            if network.next_at == float("inf"):
                raise RuntimeError("nothing will ever happen")
            network.step()
            if network.ready:
                ready = self._ready()
        chance, longest = network.temper.busy
        pause = network.rng.uniform(0, longest) if chance and network.rng.random() < chance else 0.0
        if pause or network.frozen:
            pause, network.frozen = pause + network.frozen, 0.0
            network.go_to(network.now + pause)
            ready = self._ready()
        return ready

    def _want(self, fd: int, flags: int) -> None:
        self._wanted[fd] = flags
        end = self._network.open.get(fd)
        if end is not None:
            self._network.ready[fd] = end

    def _ready(self) -> list[tuple[int, int]]:
        found, network, wanted = [], self._network, self._wanted
        for fd, end in tuple(network.ready.items()):
            flags = wanted.get(fd)
            told = 0 if flags is None else end.mask() & (flags | EPOLLERR | EPOLLHUP)
            if told:
                found.append((fd, told))
            else:
                del network.ready[fd]
        return found


class Looks:
    """In the place of the module C{select}, where idle connections are looked at before they are used."""

    POLLIN, POLLRDHUP = EPOLLIN, 0x2000

    def __init__(self, network: Network) -> None:
        self._network = network

    def poll(self) -> Look:
        """One that looks at one descriptor."""
        return Look(self._network)


class Look:
    """Whether something waits to be read, or the other side has closed."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._fd = -1

    def register(self, fd: int, mask: int) -> None:
        """This is the one."""
        self._fd = fd

    def poll(self, timeout: float) -> list[tuple[int, int]]:
        """Now."""
        end = self._network.open.get(self._fd)
        if end is None:
            return [(self._fd, EPOLLHUP)]
        return [(self._fd, EPOLLIN)] if end.inbox or end.eof or end.error else []
