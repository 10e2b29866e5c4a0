"""A worker, as the supervisor sees it."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

import orjson
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure

from aibrix_twisted.service.process.inherited import SOCKETS, handed_down
from aibrix_twisted.service.process.link import Link, Words, pair
from aibrix_twisted.service.process.successor import environment_of_child

#: Where a worker is told which it is, and which descriptors are what.
WORKER: Final = "AIBRIX_WORKER"

#: Descriptors of a worker: its end of the line, the board, the snapshots; then its sockets.
LINK_FD, BOARD_FD, SNAPSHOTS_FD, _FIRST_SOCKET = 3, 4, 5, 6

#: Not for workers: their manager is the supervisor.
_MANAGERS: Final = ("NOTIFY_SOCKET", "WATCHDOG_USEC")


class Keeper(Protocol):
    """Who started it."""

    def heard(self, child: Child, words: Words) -> None:
        """It said something."""
        ...

    def ended(self, child: Child, how: str) -> None:
        """It is over."""
        ...


class Child(ProcessProtocol):
    """One process.

    @ivar index: which of the workers it is; one that takes over has its predecessor's.
    @ivar region: its own of the board and of the snapshots.
    @ivar ready: it serves.
    @ivar retiring: it finishes what it has, and another one has its sockets.
    @ivar before: the one that it is to take over from.
    @ivar alive_at: when it last said that it lives; before, when it was started.
    @ivar status: in flight, replicas up, replicas.
    """

    def __init__(self, keeper: Keeper, index: int, region: int, now: float, before: Child | None = None) -> None:
        self._keeper = keeper
        self.index = index
        self.region = region
        self.before = before
        self.ready = self.retiring = False
        self.started_at = self.alive_at = now
        self.status = (0, 0, 0)
        self.pid = 0
        self._aborted = False
        self._link: Link | None = None

    def start(
        self,
        reactor: Any,
        environ: Mapping[str, str],
        workers: int,
        sockets: Sequence[tuple[str, int]],
        board: int,
        snapshots: int,
    ) -> None:
        """Begin: the command that started us, as one of so many workers.

        @param sockets: as L{handed_down}; descriptors here.
        @raise OSError: the system does not let us.
        """
        ours, its = pair()
        self._link = Link(reactor, ours, lambda words: self._keeper.heard(self, words), _nothing)
        named = [(key, _FIRST_SOCKET + at) for at, (key, _) in enumerate(sockets)]
        descriptors = {0: 0, 1: 1, 2: 2, LINK_FD: its.fileno(), BOARD_FD: board, SNAPSHOTS_FD: snapshots}
        descriptors |= {number: held for (_, number), (_, held) in zip(named, sockets, strict=True)}
        said = orjson.dumps({"index": self.index, "workers": workers, "region": self.region}).decode()
        environment = environment_of_child(environ, **{SOCKETS: handed_down(named), WORKER: said})
        for name in _MANAGERS:
            environment.pop(name, None)
        with its:
            command = [sys.executable, *sys.orig_argv[1:]]
            process = reactor.spawnProcess(self, sys.executable, command, environment, childFDs=descriptors)
        self.pid = process.pid

    def send(self, words: Words) -> None:
        """Tell it."""
        if self._link is not None:
            self._link.send(words)

    def end(self) -> None:
        """It hangs: end it with its stacks in the log; one that does not even end by that is killed the next time."""
        number = signal.SIGKILL if self._aborted else signal.SIGABRT
        self._aborted = True
        try:
            os.kill(self.pid, number)
        except ProcessLookupError:
            return

    def processExited(self, reason: Failure) -> None:
        """From the reactor."""
        ended: Any = reason.value
        if self._link is not None:
            self._link.hear_out()
        self._keeper.ended(self, f"exit code {ended.exitCode}" if ended.signal is None else f"signal {ended.signal}")


def _nothing() -> None:
    """That its line is gone says no more than that it is about to be over."""
