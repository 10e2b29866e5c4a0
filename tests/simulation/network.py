"""A network in memory, and the clock that it lives by.

Everything outside the gateway happens in events of this clock: bytes that arrive, engines that say the next word, clients
that lose their patience.  The gateway's own reactor only waits (see L{tests.simulation.poller}), and meanwhile the world goes on
to the next thing that concerns it.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count
from random import Random
from typing import Protocol

from tests.simulation import sockets

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

    def accepted(self, end: sockets.Socket) -> None:
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
        self.ready: dict[int, sockets.Socket] = {}
        self.open: dict[int, sockets.Socket] = {}
        self.servers: dict[Address, Server] = {}
        self.listening: dict[int, sockets.Socket] = {}
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

    def pair(self, near: sockets.Socket, far_address: Address) -> sockets.Socket:
        """Connect this end; the other one is returned."""
        far = sockets.Socket(self, address=far_address)
        near.peer, far.peer = far, near
        near.connected = far.connected = True
        return far

    def connect(self, source: Address, port: int, told: Callable[[sockets.Socket | None], None]) -> None:
        """A scripted client connects to the gateway.

        @param told: with its end, or with nothing where it was refused.
        """

        def arrive() -> None:
            listener = self.listening.get(port)
            if listener is None:
                told(None)
                return
            theirs = sockets.Socket(self, address=(listener.address[0] or "192.0.2.100", port))
            ours = self.pair(theirs, source)
            theirs.gateway = True
            listener.backlog.append(theirs)
            self.poke(listener)
            told(ours)

        self.after(self.latency(), arrive)

    def poke(self, end: sockets.Socket) -> None:
        """It may have something to tell the gateway."""
        if end.gateway:
            self.ready[end.fd] = end
