"""All answers that wait in files for clients that are too slow: how many bytes these may have, and have."""

from __future__ import annotations

from collections.abc import Callable
from tempfile import TemporaryFile
from typing import IO, Any, Protocol

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from aibrix_twisted.domain.exchange import Exchange, Spooled
from aibrix_twisted.domain.settings import Limits
from aibrix_twisted.service.downstream.spool import Fed, Spool


def _new_file(directory: str) -> IO[bytes]:
    """One without a name, which is gone with the process, however that ends."""
    return TemporaryFile(dir=directory, buffering=0, prefix="aibrix-gateway-")


class Counts(Protocol):
    """What is counted of them.

    @ivar spooled: what became of them, by L{Spooled}.
    @ivar spool_bytes: of all files now.
    """

    spooled: dict[str, int]
    spool_bytes: int


class Spools:
    """Of one gateway.

    @ivar wanted: answers for slow clients go into files; else such clients are cut off.
    @ivar open: those that have a file.
    """

    def __init__(
        self,
        clock: IReactorTime | Any,
        counts: Counts,
        new_file: Callable[[str], IO[bytes]] = _new_file,
    ) -> None:
        """
        @param counts: the meters'.
        @param new_file: makes one in this directory.
        """
        self._clock = clock
        self._counts = counts
        self._new_file = new_file
        self.open: set[Spool] = set()
        self.wanted = False

    @property
    def bytes(self) -> int:
        """Of all files."""
        return self._counts.spool_bytes

    def configure(self, limits: Limits) -> None:
        """Take these bounds.  What is in files already stays there."""
        self.wanted = limits.slow_client == "spool"
        self._most, self._most_together = limits.spool_bytes, limits.spool_total_bytes
        self._directory = limits.spool_dir

    def begin(self, exchange: Exchange, fed: Fed, *, paused: bool) -> Spool | str:
        """The client of this exchange is too slow.

        @param paused: its transport has enough.
        @return: why the rest of its answer has no place, for people.
        """
        full = self.full(0, 1)
        if full:
            self._count(exchange, Spooled.FULL)
            return full
        try:
            file = self._new_file(self._directory)
        except OSError as error:
            self._count(exchange, Spooled.FAILED)
            return f"no file for its answer could be made: {error.strerror}"
        spool = Spool(self, file, exchange, fed, paused=paused)
        self.open.add(spool)
        return spool

    def _count(self, exchange: Exchange, outcome: Spooled) -> None:
        exchange.spooled = outcome
        self._counts.spooled[outcome] += 1

    # -- from spools -----------------------------------------------------------------------------------------

    def full(self, size: int, more: int) -> str:
        """Why a file of this size may not have so many bytes more, for people; C{""}: it may."""
        if size + more > self._most:
            return f"its answer is more than the {self._most} bytes that may be in a file"
        if self.bytes + more > self._most_together:
            return f"the files for such answers have the {self._most_together} bytes that they may have"
        return ""

    def resized(self, by: int) -> None:
        """A file has become larger, or smaller."""
        self._counts.spool_bytes += by

    def closed(self, spool: Spool, outcome: Spooled) -> None:
        """It is over."""
        self.open.discard(spool)
        self.resized(-spool.size)
        self._counts.spooled[outcome] += 1

    def soon(self, call: Callable[[], None]) -> IDelayedCall:
        """In the reactor's next turn."""
        later: IDelayedCall = self._clock.callLater(0, call)
        return later

    def recount(self) -> None:
        """The sum was found to be another."""
        self._counts.spool_bytes = sum(spool.size for spool in self.open)
