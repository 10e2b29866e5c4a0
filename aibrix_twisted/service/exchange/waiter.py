"""One exchange's waiting: for a replica that can take it, for a probe's word, or for the moment to try again."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Any, Final

from aibrix_twisted.domain.exchange import Exchange
from aibrix_twisted.domain.settings import Settings
from aibrix_twisted.domain.waiting_room import Priority, Ticket
from aibrix_twisted.policy.candidates import Lack
from aibrix_twisted.service.downstream.reply import Reply
from aibrix_twisted.service.exchange.respond import PING, begin_pinged

if TYPE_CHECKING:
    from aibrix_twisted.service.exchange.exchanges import Exchanges
    from aibrix_twisted.service.exchange.run import Run

#: How soon to look again whether a replica that may be gone is.
LOOK_S: Final = 0.05


class NoPlace(enum.Enum):
    """Why an exchange does not wait."""

    LATE = "late"  # it has waited for as long as it may
    FULL = "full"  # the room has no place left


class Waiter:
    """Made when an exchange first has to wait.

    @ivar lack: what it waited for last.
    @ivar waited_s: for how long it has waited for that; attempts in between do not count.
    @ivar pinged_at: when its client was last sent a comment; C{None}: never.
    """

    __slots__ = (
        "_entered_at",
        "_exchange",
        "_exchanges",
        "_priority",
        "_run",
        "_settings",
        "_tenant",
        "_ticket",
        "_timer",
        "_waits_since",
        "lack",
        "pinged_at",
        "waited_s",
    )

    def __init__(
        self, run: Run, exchanges: Exchanges, settings: Settings, exchange: Exchange, priority: Priority, tenant: str
    ) -> None:
        self._run = run
        self._exchanges = exchanges
        self._settings = settings
        self._exchange = exchange
        self._priority = priority
        self._tenant = tenant
        self._ticket: Ticket[Waiter] | None = None
        self._timer: Any = None
        self._entered_at = self._waits_since = self.waited_s = 0.0
        self.lack: Lack | None = None
        self.pinged_at: float | None = None

    def wait(self, lack: Lack, model: str, size: int) -> NoPlace | None:
        """Wait; the run's C{go_on} is called when it may be worth another look.

        @param size: of the body that is kept.
        @return: why not.
        """
        now = self._exchanges.wheel.now
        if lack is not self.lack:
            self.lack, self.waited_s = lack, 0.0
        self._waits_since = now
        if lack is Lack.SUSPECT:
            if self.waited_s > self._settings.health.probe_timeout + LOOK_S:
                return NoPlace.LATE
            self._timer = self._exchanges.reactor.callLater(LOOK_S, self._looked)
            return None
        queue = self._settings.queue
        patience = queue.wait_busy if lack is Lack.BUSY else queue.wait_down
        if self.waited_s >= patience:
            return NoPlace.LATE
        deadline = now + patience - self.waited_s
        ticket = Ticket(self, model, priority=self._priority, tenant=self._tenant, size=size, deadline=deadline)
        if not self._exchanges.waiting.enter(ticket):
            return NoPlace.FULL
        self._ticket = ticket
        self._entered_at = self._exchanges.seconds()
        return None

    def waits_with(self, ticket: Ticket[Waiter]) -> bool:
        """This is the place where it waits, and its exchange is not over."""
        return self._ticket is ticket and self._exchange in self._exchanges.book.current

    @property
    def is_idle(self) -> bool:
        """It waits for nothing."""
        return self._ticket is None and self._timer is None

    def pause(self, seconds: float) -> None:
        """Look again after so long."""
        self._timer = self._exchanges.reactor.callLater(seconds, self._paused)

    def stop(self) -> None:
        """Wait no more, if it does."""
        ticket, self._ticket = self._ticket, None
        if ticket is not None:
            self._exchanges.waiting.leave(ticket)
            self._rested()
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()

    def called(self) -> None:
        """From the waiting room, which it has left with this: a replica may be able to take it now."""
        self._ticket = None
        self._rested()
        self._run.go_on()

    def is_late(self, now: float) -> bool:
        """It has waited in the room for as long as it may; it has left with this."""
        if self._ticket is None or now < self._ticket.deadline:
            return False
        self.stop()
        return True

    def ping(self, now: float, every_s: float, reply: Reply) -> None:
        """Send the client a comment, where it is time for one."""
        since = self._waits_since - self.waited_s if self.pinged_at is None else self.pinged_at
        if self._ticket is None or now - since < every_s:
            return
        self.pinged_at = now
        if reply.begun:
            reply.write(PING)
        else:
            begin_pinged(self._exchange, reply)

    def _paused(self) -> None:
        self._timer = None
        self._run.go_on()

    def _looked(self) -> None:
        self.waited_s += self._exchanges.wheel.now - self._waits_since
        self._paused()

    def _rested(self) -> None:
        exchange, now = self._exchange, self._exchanges.seconds()
        exchange.queued_s += now - self._entered_at
        if exchange.trace is not None:
            exchange.trace.waits.append((self._entered_at, now))
        self.waited_s += self._exchanges.wheel.now - self._waits_since
