"""A stream as fast as it is taken."""

from __future__ import annotations

from typing import Any

from twisted.internet.interfaces import IPushProducer, IReactorTime
from zope.interface import implementer

from aibrix_twisted.demo.outlet import Outlet

PIECE_BYTES = 16384


@implementer(IPushProducer)
class Flood:
    """Writes one event after the other, unless the transport asks for a pause."""

    def __init__(
        self, transport: Any, clock: IReactorTime, outlet: Outlet, event: bytes, last: bytes, size: int
    ) -> None:
        """
        @param event: what is repeated.
        @param last: what comes at the end.
        @param size: bytes in all, at least.
        """
        self._transport = transport
        self._clock = clock
        self._outlet = outlet
        self._piece = event * max(1, PIECE_BYTES // len(event))
        self._last = last
        self._left = size
        self._paused = self._stopped = False
        self._scheduled = False
        transport.registerProducer(self, True)
        self.resumeProducing()

    def pauseProducing(self) -> None:
        """The client does not keep up."""
        self._paused = True

    def resumeProducing(self) -> None:
        """It does again."""
        self._paused = False
        if not self._scheduled and not self._stopped:
            self._scheduled = True
            self._clock.callLater(0, self._go)

    def stopProducing(self) -> None:
        """The client is gone."""
        self._stopped = True

    def _go(self) -> None:
        self._scheduled = False
        for _ in range(16):
            if self._paused or self._stopped:
                return
            self._outlet.piece(self._piece)
            self._left -= len(self._piece)
            if self._left <= 0:
                self._stopped = True
                self._transport.unregisterProducer()
                self._outlet.piece(self._last)
                self._outlet.end()
                return
        if not self._paused:
            self.resumeProducing()
