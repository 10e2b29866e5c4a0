"""How the reactor waits, and how an idle connection is looked at: C{select} in memory."""

from __future__ import annotations

import errno
from collections.abc import Callable
from select import EPOLLERR, EPOLLHUP, EPOLLIN
from typing import Any

from tests.simulation.network import Network


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


class Waiting:
    """In the place of C{fcntl.ioctl}, where it is asked how much of what was sent the other side has yet to take."""

    def __init__(self, network: Network) -> None:
        self._network = network

    def __call__(self, fd: int, what: int, into: Any) -> None:
        """Say it."""
        end = self._network.open.get(fd)
        if end is None:
            raise OSError(errno.EBADF, "closed")
        into[0] = end.unacknowledged
