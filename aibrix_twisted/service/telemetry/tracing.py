"""Tracing as it is set: turned on, changed by a reload, turned off, and stopped within a bound."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred

from aibrix_twisted.domain.settings import TracingSettings
from aibrix_twisted.domain.traces_url import traces_url
from aibrix_twisted.interfaces import Random
from aibrix_twisted.service.owned import log_failure_of
from aibrix_twisted.service.telemetry.metrics import Metrics
from aibrix_twisted.service.telemetry.tracer import Tracer

if TYPE_CHECKING:
    from aibrix_twisted.service.telemetry.sender import InThread, Sender


class Tracing:
    """Owns what the data path is traced with."""

    def __init__(
        self,
        reactor: Any,
        wall_ns: Callable[[], int],
        in_thread: InThread,
        metrics: Metrics,
        rng: Random,
        instance: str,
    ) -> None:
        """See L{Sender}.

        @param in_thread: runs a function in a thread that the process does not wait for at its end.
        """
        self._reactor = reactor
        self._wall_ns = wall_ns
        self._in_thread = in_thread
        self._metrics = metrics
        self._rng = rng
        self._instance = instance
        self._url = ""
        self._sender: Sender | None = None
        self._tracer: Tracer | None = None
        self._closing: set[Deferred[None]] = set()

    def configure(self, settings: TracingSettings) -> Tracer | None:
        """Take these settings for exchanges that begin from now on.

        @return: what they are traced with.
        """
        url = traces_url(settings.endpoint) if settings.endpoint else ""
        if url != self._url:
            self._turn_off()
            self._url = url
            if url:
                self._turn_on(url, settings.sample)
        if self._tracer is not None:
            self._tracer.sample = settings.sample
        return self._tracer

    async def stop(self) -> None:
        """Send what waits, for a few seconds at most."""
        self._turn_off()
        for closing in tuple(self._closing):
            await closing

    def _turn_on(self, url: str, sample: float) -> None:
        from aibrix_twisted.service.telemetry.sender import Sender  # brings OpenTelemetry: only where it is wanted

        self._sender = Sender(self._reactor, self._wall_ns, self._metrics, self._rng, url, self._instance)
        self._tracer = Tracer(sample, self._rng, self._sender.take)

    def _turn_off(self) -> None:
        sender, self._sender, self._tracer, self._url = self._sender, None, None, ""
        if sender is not None:
            closing = Deferred.fromCoroutine(sender.close(self._in_thread))
            self._closing.add(closing)
            log_failure_of(closing.addBoth(self._closed, closing), "closing the way of spans to their receiver")

    def _closed(self, result: Any, closing: Deferred[None]) -> Any:
        self._closing.discard(closing)
        return result
