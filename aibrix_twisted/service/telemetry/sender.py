"""What the reactor's thread does with a traced exchange that is over: it is handed on, and what is lost is counted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from twisted.internet.defer import Deferred, TimeoutError
from twisted.logger import Logger

from aibrix_twisted.domain.exchange import Exchange
from aibrix_twisted.interfaces import Random
from aibrix_twisted.service.telemetry.metrics import Metrics
from aibrix_twisted.service.telemetry.outlet import Outlet
from aibrix_twisted.service.telemetry.spans import count_of

_log = Logger()

#: For the receiver to take what waits when it is to get no more.
FLUSH_S: Final = 5.0

#: A receiver that is away is said to be so this often at most.
SAY_EVERY_S: Final = 60.0

_SPAN_IDS: Final = (1 << 64) - 1

#: Runs a function in a thread that the process does not wait for at its end.
InThread = Callable[[Callable[[], None]], "Deferred[None]"]


class Sender:
    """To one receiver."""

    def __init__(
        self, reactor: Any, wall_ns: Callable[[], int], metrics: Metrics, rng: Random, url: str, instance: str
    ) -> None:
        """
        @param wall_ns: nanoseconds since 1970.
        @param url: in full.
        @param instance: tells this process from others, in what the receiver shows.
        """
        self._reactor = reactor
        self._wall_ns = wall_ns
        self._metrics = metrics
        self._url = url
        self._outlet = Outlet(url, instance, lambda: rng.randrange(_SPAN_IDS) + 1, self._told_in_thread)
        self._sent = self._heard = 0
        self._given_up = False
        self._lost = 0
        self._said_at: float | None = None
        for complaint in self._outlet.complaints():
            _log.warn("tracing: {complaint}", complaint=complaint)

    def take(self, exchange: Exchange) -> None:
        """It is over, and it has a trace."""
        count = count_of(exchange)
        if self._outlet.put(exchange, self._wall_ns()):
            self._sent += count
        else:
            self._metrics.spans_dropped["full"] += count

    async def close(self, in_thread: InThread) -> None:
        """Let the receiver take what waits, for so long and no longer."""
        try:
            await in_thread(self._outlet.close).addTimeout(FLUSH_S, self._reactor)
        except TimeoutError:
            self._outlet.give_up()
        self._given_up = True
        lost = self._sent - self._heard
        if lost:
            self._metrics.spans_dropped["stopped"] += lost
            _log.warn(
                "{count} spans are lost: {url} did not take them within {s:g} s",
                count=lost,
                url=self._url,
                s=FLUSH_S,
            )

    def _told_in_thread(self, count: int, why: str) -> None:
        self._reactor.callFromThread(self._told, count, why)

    def _told(self, count: int, why: str) -> None:
        """The receiver took so many spans, or did not."""
        if self._given_up:
            return  # they are counted
        self._heard += count
        if not why:
            self._metrics.spans_exported += count
            return
        self._metrics.spans_dropped["failed"] += count
        self._lost += count
        now = self._reactor.seconds()
        if self._said_at is None or now - self._said_at >= SAY_EVERY_S:
            self._said_at = now
            _log.warn(
                "{count} spans are lost: {url} does not take them: {why}", count=self._lost, url=self._url, why=why
            )
            self._lost = 0
