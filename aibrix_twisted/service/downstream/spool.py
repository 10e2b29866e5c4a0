"""The rest of an answer whose client is too slow: in a file, so that its engine is freed, and out of it again.

It takes the place of the transport for what is written (see C{Reply.spool_to}): who keeps up does not pay for it.  What
comes goes behind what is in the file; what is in it goes to the client as far as its transport takes it.  Where the
client has caught up, the file is emptied and what comes goes to the transport again.

The file is written and read on the reactor, as much at a time as one read of the engine's brings, or as the transport
takes: 64 KiB and less, which is a copy from or to the page cache, tens of microseconds, less than a thread's two
switches.  What takes longer is a disk on which the system makes writers wait because it does not keep up; then turns of
the reactor are late, and C{[limits] reactor_lag} sees it.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import IO, TYPE_CHECKING, Final, Protocol

from twisted.internet.interfaces import IDelayedCall

from aibrix_twisted.domain.exchange import Exchange, Spooled

if TYPE_CHECKING:
    from aibrix_twisted.service.downstream.spools import Spools

#: Out of one file no more than this is given in one turn of the reactor: a client that has become fast takes it as fast
#: as it can be read, and others wait.
TURN_BYTES: Final = 262144


class Fed(Protocol):
    """The client's connection, as its spool sees it."""

    @property
    def write(self) -> Callable[[bytes], None]:
        """Sends.  It may say beneath this that it has enough."""
        ...

    @property
    def ahead(self) -> int:
        """Bytes that it lets what is sent get ahead of the client."""
        ...

    def cut_off(self, why: str) -> None:
        """Close at once, whatever is unsent."""
        ...


class Spool:
    """Of one answer.

    @ivar size: bytes of the file.
    @ivar left: bytes of the answer that the client was never given.
    @ivar passed: bytes of the answer that came here.
    """

    __slots__ = (
        "_exchange",
        "_fed",
        "_file",
        "_next",
        "_paused",
        "_spools",
        "_taken",
        "_then",
        "left",
        "passed",
        "size",
    )

    def __init__(self, spools: Spools, file: IO[bytes], exchange: Exchange, fed: Fed, *, paused: bool) -> None:
        """
        @param file: nobody else's, and empty.
        @param paused: the client's transport has enough.
        """
        self._spools = spools
        self._file: IO[bytes] | None = file
        self._exchange = exchange
        self._fed = fed
        self._paused = paused
        self._taken = 0  # so far the file was given to the client
        self._next: IDelayedCall | None = None
        self._then: Callable[[], None] | None = None
        self.size = 0
        self.left = 0
        self.passed = 0

    @property
    def open(self) -> bool:
        """It has a file."""
        return self._file is not None

    @property
    def fed(self) -> Fed:
        """Whose client it is for."""
        return self._fed

    def write(self, data: bytes) -> None:
        """More of the answer."""
        self.passed += len(data)
        file = self._file
        if file is None:  # the client is about to be gone
            self.left += len(data)
        elif self._taken == self.size and not self._paused:
            self._fed.write(data)
        else:
            full = self._spools.full(self.size, len(data))
            if full:
                self.left += len(data)
                self._give_up(Spooled.FULL, full)
            else:
                self._append(file, data)

    def pause(self) -> None:
        """The client's transport has enough."""
        self._paused = True

    def resume(self) -> None:
        """It takes more."""
        self._paused = False
        if self._next is None:
            self._feed()

    def end(self, then: Callable[[], None]) -> None:
        """Nothing more comes.

        @param then: called once the client's transport has all of it, which may be now; never, if it is closed before.
        """
        if self._file is not None:
            self._then = then
            if self._taken == self.size:
                self._finish()

    def close(self, outcome: Spooled) -> None:
        """Let go of the file, whatever is in it.  Once it is closed, it stays as it was closed."""
        file, self._file = self._file, None
        if file is None:
            return
        self.left += self.size - self._taken
        self._then = None
        if self._next is not None:
            self._next.cancel()
            self._next = None
        self._exchange.spooled = outcome
        self._spools.closed(self, outcome)
        file.close()

    # -- inside ----------------------------------------------------------------------------------------------

    def _append(self, file: IO[bytes], data: bytes) -> None:
        rest = memoryview(data)
        try:
            while rest:
                written = os.pwrite(file.fileno(), rest, self.size + len(data) - len(rest))
                rest = rest[written:]
        except OSError as error:
            self.left += len(data)
            self._give_up(Spooled.FAILED, f"its file could not be written: {error.strerror}")
        else:
            self._exchange.spooled_bytes += len(data)
            self._resize(self.size + len(data))

    def _feed(self) -> None:
        """Give the client what it takes now."""
        self._next = None
        given = 0
        while self._file is not None and self._taken < self.size and not self._paused:
            if given >= TURN_BYTES:
                self._next = self._spools.soon(self._feed)
                return
            try:
                data = os.pread(self._file.fileno(), min(self._fed.ahead, self.size - self._taken), self._taken)
            except OSError as error:
                self._give_up(Spooled.FAILED, f"its file could not be read: {error.strerror}")
                return
            if not data:
                self._give_up(Spooled.FAILED, "its file has become shorter")
                return
            self._taken += len(data)
            given += len(data)
            self._fed.write(data)
        if self._file is not None and self._taken == self.size:
            self._emptied(self._file)

    def _emptied(self, file: IO[bytes]) -> None:
        """The client's transport has all that there is."""
        if self._then is not None:
            self._finish()
            return
        try:
            os.ftruncate(file.fileno(), 0)
        except OSError as error:
            self._give_up(Spooled.FAILED, f"its file could not be emptied: {error.strerror}")
        else:
            self._taken = 0
            self._resize(0)

    def _finish(self) -> None:
        then = self._then
        self.close(Spooled.TAKEN)
        if then is not None:
            then()

    def _give_up(self, outcome: Spooled, why: str) -> None:
        self.close(outcome)
        self._fed.cut_off(f"the client was too slow, and {why}")

    def _resize(self, size: int) -> None:
        self._spools.resized(size - self.size)
        self.size = size
