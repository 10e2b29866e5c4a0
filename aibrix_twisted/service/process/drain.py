"""How a gateway ends: it says that it is not ready, takes no new clients, finishes what it has, and stops.

Whoever is connected already is still served: the answer says that the connection is closed after it.  One that idles is
closed once it has idled for three seconds, or for longer where nobody waits for our end: a request that is on its way
to us now would be lost with its connection, and some clients take their time.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from math import inf
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.logger import Logger

from aibrix_twisted.service.exchange.exchanges import DRAINING_IDLE_S, Exchanges
from aibrix_twisted.service.owned import log_failure_of

_log = Logger()

#: How often a draining gateway looks whether it is done.
LOOK_S: Final = 0.05

#: For clients to take the error that ends what drained for too long.
FAREWELL_S: Final = 1.0

#: Who idles is kept for so long where another process serves meanwhile.
UNHURRIED_IDLE_S: Final = 15.0

_WHY: Final = "the gateway is stopping"


class Drain:
    """Of one gateway, once.

    @ivar afterwards: what is waited for when everything is over, before the end.
    """

    def __init__(
        self,
        reactor: Any,
        exchanges: Exchanges,
        stop_listening: Callable[[], Awaitable[object]],
        halt: Callable[[], None],
    ) -> None:
        """
        @param stop_listening: takes no new clients from then on.
        @param halt: ends the process: called at the end, and at once if it is asked for a second time, but only once.
        """
        self._reactor = reactor
        self._exchanges = exchanges
        self._stop_listening = stop_listening
        self._end_process = halt
        self._halted = False
        self._deadline = inf
        self._begun = False
        self._unready_s = 0.0
        self.afterwards: Callable[[], Awaitable[object]] = _nothing

    def within(self, patience_s: float, unready_s: float = 0.0) -> None:
        """Let it end within so long.  Asked a second time: now.

        @param unready_s: of it, new clients are still taken for so long, while it says that it is not ready.
        """
        if self._deadline != inf:
            self._halt()
            return
        self._deadline = self._reactor.seconds() + patience_s
        self._exchanges.draining_idle_s = DRAINING_IDLE_S
        self._unready_s = min(unready_s, patience_s)
        under_way = self._exchanges.under_way
        _log.info("draining: {count} exchanges under way, {s:g} s at most", count=under_way, s=patience_s)
        self._begin()

    def without_bound(self) -> None:
        """Let it end when everything is over, however long that takes: another process serves."""
        _log.info("draining: {count} exchanges under way", count=self._exchanges.under_way)
        self._exchanges.draining_idle_s = UNHURRIED_IDLE_S
        self._begin()

    @property
    def left_s(self) -> float:
        """How long it may take still; infinite: as long as it takes."""
        return self._deadline - float(self._reactor.seconds())

    def _begin(self) -> None:
        self._exchanges.draining = True
        if not self._begun:
            self._begun = True
            done = Deferred.fromCoroutine(self._run())
            log_failure_of(done, "draining")
            log_failure_of(done.addBoth(lambda _: self._halt()), "stopping")

    def _halt(self) -> None:
        """Once: a reactor that stops cannot be stopped."""
        if not self._halted:
            self._halted = True
            self._end_process()

    async def _run(self) -> None:
        exchanges = self._exchanges
        if self._unready_s:
            await deferLater(self._reactor, self._unready_s)
        await self._stop_listening()
        for connection in tuple(exchanges.live):
            connection.drain()
        if not await self._until_idle():
            exchanges.refusing = True
            _log.warn("{count} exchanges are cut short", count=exchanges.under_way)
            for connection in tuple(exchanges.live):
                connection.expire(_WHY)
            for run in tuple(exchanges.orphans):
                run.expire(_WHY)
            self._deadline = self._reactor.seconds() + FAREWELL_S
            await self._until_idle()
        _log.info("drained")
        await self.afterwards()

    async def _until_idle(self) -> bool:
        exchanges = self._exchanges
        while exchanges.under_way or exchanges.live:
            if self.left_s <= 0:
                return not exchanges.under_way
            await deferLater(self._reactor, LOOK_S)
        return True


async def _nothing() -> None:
    """There is nothing to wait for."""
