"""The access log: one line an exchange, written in batches, off the reactor's thread.

The data path appends to a list.  Now and then lines are made of it, which takes microseconds, and ten times a second
they go to a thread that writes them: a disk or a pipe that is slow holds up that thread and nobody else.  Lines that
cannot be written yet are kept, to a bound; what is beyond it is lost, and counted.  The thread makes no lines, for it
would hold the interpreter while the reactor waits for it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from aibrix_twisted.domain.assembly import Outcome
from aibrix_twisted.domain.exchange import Exchange
from aibrix_twisted.domain.settings import AccessLogSettings
from aibrix_twisted.interfaces import Random
from aibrix_twisted.service.owned import log_failure_of
from aibrix_twisted.service.telemetry.log_file import LogFile
from aibrix_twisted.service.telemetry.metrics import Metrics
from aibrix_twisted.service.telemetry.record import line_of

_log = Logger()

FLUSH_INTERVAL_S: Final = 0.1

#: Lines are made at the latest of so many exchanges: of more the first would be out of the processor's caches again.
AT_ONCE: Final = 64

#: Lines that may wait to be written, in bytes: some fifty thousand.
MAX_BYTES: Final = 32 << 20

#: For a disk or a reader to take the last lines when the gateway stops.
PATIENCE_S: Final = 1.0

#: Runs a function in a thread: C{deferToThreadPool}, its reactor and pool given.
InThread = Callable[[Callable[[], int]], "Deferred[int]"]


class AccessLog:
    """Batches for one file, the standard output, or nobody."""

    def __init__(
        self,
        settings: AccessLogSettings,
        clock: IReactorTime,
        wall: Callable[[], float],
        in_thread: InThread,
        metrics: Metrics,
        rng: Random,
    ) -> None:
        """
        @param wall: seconds since 1970.
        """
        self._settings = settings
        self._path = settings.path  # the last one that was not empty
        self._clock = clock
        self._wall = wall
        self._in_thread = in_thread
        self._metrics = metrics
        self._random = rng.random
        self._ended: list[tuple[float, Exchange, float, bool]] = []
        self._lines = bytearray()  # made, and not yet given to the thread
        self._batch = bytearray()  # the thread's, while it writes
        self._writing: Deferred[int] | None = None
        self._file = LogFile()
        self._renew = bool(settings.path)  # so that a path that is no good is told of at once
        self._failed = False
        self._call = LoopingCall(self._flush)
        self._call.clock = clock

    def start(self) -> None:
        """Begin to write."""
        log_failure_of(self._call.start(FLUSH_INTERVAL_S, now=False), "writing the access log")

    def append(self, exchange: Exchange) -> None:
        """An exchange is over."""
        settings = self._settings
        if not settings.path:
            return
        bound, sample, slow = settings.slow, 1.0, False
        if bound:
            stamps = exchange.stamps
            ttft_s = stamps.ttft_s
            slow = (stamps.duration_s if ttft_s is None else ttft_s) > bound
        if settings.sample < 1 and not slow and not _failed(exchange):
            sample = settings.sample
            if self._random() >= sample:
                return
        self._ended.append((self._wall(), exchange, sample, slow))
        if len(self._ended) >= AT_ONCE:
            self._make()

    def configure(self, settings: AccessLogSettings) -> None:
        """Take these settings from now on.  A path is opened anew: the old file may have been moved away."""
        self._make()
        self._settings = settings
        self._path = settings.path or self._path
        self._renew = bool(settings.path)
        self._file.hurry()
        if not settings.path:
            self._close_if_done()

    async def stop(self) -> None:
        """Write what waits, and close.  What cannot be written in time is lost, and said."""
        if self._call.running:
            self._call.stop()
        patience = self._clock.callLater(PATIENCE_S, self._file.hurry)
        if self._writing is not None:
            await self._writing
        self._flush()
        if self._writing is not None:
            await self._writing
        if patience.active():
            patience.cancel()
        lost = self._batch.count(b"\n")
        if lost:
            self._metrics.access_log_dropped += lost
            _log.error("{lost} lines of the access log {path} are lost", lost=lost, path=self._path)
        self._batch.clear()
        self._file.close()

    def _make(self) -> None:
        """Lines of what is over, as long as there is room for them."""
        ended, self._ended = self._ended, []
        lines, room = self._lines, MAX_BYTES - len(self._batch)
        for at, exchange, sample, slow in ended:
            if len(lines) < room:
                lines += line_of(exchange, at, sample, slow=slow)  # copied: the encoder's is kilobytes larger than it
            else:
                self._metrics.access_log_dropped += 1

    def _flush(self) -> None:
        if self._ended:
            self._make()
        if self._writing is not None or not (self._lines or self._batch or self._renew):
            return
        self._batch += self._lines
        self._lines.clear()
        file, path, batch, renew = self._file, self._path, self._batch, self._renew
        self._renew = False
        self._writing = writing = self._in_thread(lambda: file.write(path, batch, renew=renew))
        log_failure_of(writing.addBoth(self._written), "writing the access log")

    def _written(self, result: Any) -> None:
        self._writing = None
        failed = isinstance(result, Failure)
        if not failed:
            self._metrics.access_log_dropped += result
            if not self._settings.path:
                self._close_if_done()
        elif not self._failed:
            _log.failure("the access log {path} cannot be written", result, path=self._path)
        self._failed = failed

    def _close_if_done(self) -> None:
        if self._writing is None and not (self._lines or self._batch):
            self._file.close()


def _failed(exchange: Exchange) -> bool:
    """The client was not given what it asked for."""
    return exchange.status >= 400 or bool(exchange.error) or exchange.outcome not in (Outcome.COMPLETE, None)
