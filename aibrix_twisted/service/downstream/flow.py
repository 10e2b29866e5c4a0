"""How a client keeps up with what it is sent, and what is kept for it meanwhile."""

from __future__ import annotations

from typing import Any, Final

from aibrix_twisted.domain.buffer_sizes import AHEAD
from aibrix_twisted.domain.memory import Memory, Pressure
from aibrix_twisted.service.downstream.unsent import buffered_bytes

#: What is sent ahead of a slow client once memory is short.
SHORT_AHEAD: Final = 1024


class Flow:
    """Of one client.

    @ivar stalled_since: since when it has taken nothing of what waits for it, by the wheel; C{None}: not enough waits
        to matter.  Whoever sees it take some puts it off.
    """

    __slots__ = (
        "_limited",
        "_memory",
        "_paused_at",
        "_share",
        "_slow_since",
        "_taken_then",
        "_transport",
        "_unsent_then",
        "stalled_since",
    )

    def __init__(self, transport: Any, memory: Memory) -> None:
        """@param transport: Twisted's, whose C{bufferSize} is how far it lets its producer get ahead."""
        self._transport = getattr(transport, "carrier", transport)  # TLS has no buffer of its own
        self._memory = memory
        self._share = memory.share()
        self._limited = False
        self._paused_at = 0.0
        self._unsent_then = 0
        self._slow_since: float | None = None
        self._taken_then = 0
        self.stalled_since: float | None = None

    @property
    def unsent(self) -> int:
        """Bytes that wait in this process to be sent."""
        return buffered_bytes(self._transport)

    @property
    def ahead(self) -> int:
        """Bytes by which what is sent may get ahead of the client."""
        ahead: int = getattr(self._transport, "bufferSize", AHEAD)
        return ahead

    @property
    def is_short(self) -> bool:
        """Nothing is to be sent ahead of a client that is slow: memory is short."""
        return self._memory.pressure >= Pressure.SLOW

    def paused(self, now: float, seconds: float) -> None:
        """The transport has got as far ahead as it may.

        @param now: by the wheel, for deadlines.
        @param seconds: by the clock, for the client's speed.
        """
        if self.stalled_since is None:
            self.stalled_since = now
            self._paused_at, self._unsent_then = seconds, self.unsent

    def resumed(self, seconds: float) -> tuple[int, float]:
        """It has sent everything.

        @return: how many bytes the client took since, and in which time.
        """
        self.stalled_since = None
        return self._unsent_then, seconds - self._paused_at

    def limit(self, ahead: int) -> None:
        """Let the transport get ahead of the client by so many bytes."""
        self._limited = True
        self._transport.bufferSize = min(ahead, SHORT_AHEAD) if self.is_short else ahead

    def over(self) -> None:
        """The answer is over."""
        if self._limited:
            self._limited = False
            self._transport.bufferSize = AHEAD
        self._slow_since = None
        self._share.clear()

    def account(self, requests: int, answers: int, kept: int) -> None:
        """So much is kept for the client beside what is unsent, in bytes; see L{Memory}."""
        unsent = self.unsent
        self._share.set(requests, answers, kept, unsent)
        if unsent and self.is_short:
            self._limited = True
            self._transport.bufferSize = SHORT_AHEAD

    def clear(self) -> None:
        """The client is gone."""
        self._share.clear()

    def is_too_slow(self, now: float, given: int, rate: int, seconds: float) -> bool:
        """Whether it has, all that time, taken less than it should of what there was for it.

        @param given: bytes of the answer that were written so far.
        @param rate: bytes a second; 0: any will do.
        """
        unsent = self.unsent
        if not rate or not unsent:
            self._slow_since = None
            return False
        taken = given - unsent
        if self._slow_since is None:
            self._slow_since, self._taken_then = now, taken
            return False
        passed = now - self._slow_since
        if passed < seconds:
            return False
        slow = taken - self._taken_then < rate * passed
        self._slow_since, self._taken_then = now, taken
        return slow
