"""The access log: one line an exchange, written in batches, off the reactor's thread.

The data path appends to a list.  Ten times a second lines are made of it, which takes microseconds, and go to a thread
that writes them: a disk or a pipe that is slow holds up that thread and nobody else, and one that is stuck costs lines,
which are counted.  The thread makes no lines, for it would hold the interpreter while the reactor waits for it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from aibrix_twisted.domain.exchange import Exchange
from aibrix_twisted.service.owned import log_failure_of
from aibrix_twisted.service.telemetry.metrics import Metrics
from aibrix_twisted.service.telemetry.record import line_of

_log = Logger()

FLUSH_INTERVAL_S: Final = 0.1

#: Exchanges that may wait to be written.
MAX_WAITING: Final = 65536

Waiting = list[tuple[float, Exchange]]

#: Runs a function in a thread: C{deferToThreadPool}, its reactor and pool given.
InThread = Callable[[Callable[[], None]], "Deferred[None]"]


class AccessLog:
    """Batches for one file, the standard output, or nobody."""

    def __init__(
        self, path: str, clock: IReactorTime, wall: Callable[[], float], in_thread: InThread, metrics: Metrics
    ) -> None:
        """
        @param path: as in C{[access_log]}.
        @param wall: seconds since 1970.
        """
        self._path = path
        self._wall = wall
        self._in_thread = in_thread
        self._metrics = metrics
        self._waiting: Waiting = []
        self._writing: Deferred[None] | None = None
        self._fd: int | None = None
        self._failed = False
        self._call = LoopingCall(self._flush)
        self._call.clock = clock

    def start(self) -> None:
        """Begin to write."""
        if self._path:
            log_failure_of(self._call.start(FLUSH_INTERVAL_S, now=False), "writing the access log")

    def append(self, exchange: Exchange) -> None:
        """An exchange is over."""
        if not self._path:
            return
        if len(self._waiting) < MAX_WAITING:
            self._waiting.append((self._wall(), exchange))
        else:
            self._metrics.access_log_dropped += 1

    def reopen(self, path: str) -> None:
        """Write to this path from now on, opened anew: the old file may have been moved away."""
        if self._path and not path and self._call.running:
            self._call.stop()
        started, self._path = bool(self._path), path
        self._close()
        if path and not started:
            self.start()

    async def stop(self) -> None:
        """Write what waits, and close."""
        if self._call.running:
            self._call.stop()
        if self._writing is not None:
            await self._writing
        self._flush()
        if self._writing is not None:
            await self._writing
        self._close()

    def _flush(self) -> None:
        if self._writing is not None or not self._waiting:
            return
        waiting, self._waiting = self._waiting, []
        lines = bytearray()  # each line is copied at once: the encoder gives it with kilobytes of room to spare
        for at, exchange in waiting:
            lines += line_of(exchange, at)
        self._writing = writing = self._in_thread(lambda: self._write(lines))
        log_failure_of(writing.addBoth(self._written, len(waiting)), "writing the access log")

    def _written(self, result: Any, count: int) -> None:
        self._writing = None
        if isinstance(result, Failure):
            self._metrics.access_log_dropped += count
            self._close()
            if not self._failed:
                _log.failure("the access log {path} cannot be written", result, path=self._path)
        self._failed = isinstance(result, Failure)

    def _write(self, lines: bytearray) -> None:
        """In the thread."""
        if self._fd is None:
            self._fd = _open(self._path)
        data = memoryview(lines)
        while data:
            data = data[os.write(self._fd, data) :]

    def _close(self) -> None:
        fd, self._fd = self._fd, None
        if fd is not None:
            os.close(fd)


def _open(path: str) -> int:
    if path == "-":
        return os.dup(sys.__stdout__.fileno() if sys.__stdout__ is not None else 1)
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
