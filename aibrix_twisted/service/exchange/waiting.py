"""Exchanges that wait for a replica: who is called when one can take more.

Whatever may make room says so with C{stir}: a lease that goes back, a replica that came up, a new fleet.  What only
time brings (a breaker that lets one through, an engine that asked to be left alone for a while) is seen by the
wheel.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from aibrix_twisted.domain.settings import QueueSettings
from aibrix_twisted.domain.waiting_room import NORMAL, Priority, Ticket, WaitingRoom
from aibrix_twisted.errors import MalformedRequest
from aibrix_twisted.service.telemetry.metrics import OTHER
from aibrix_twisted.wire.head import RequestHead

if TYPE_CHECKING:
    from aibrix_twisted.service.exchange.exchanges import Exchanges
    from aibrix_twisted.service.exchange.waiter import Waiter

_PRIORITIES: Final = {priority.name.lower().encode(): priority for priority in Priority}


class Waiting:
    """The waiting room, and its door."""

    def __init__(self, reactor: Any, exchanges: Exchanges, settings: QueueSettings) -> None:
        self._reactor = reactor
        self._exchanges = exchanges
        self.room: WaitingRoom[Waiter] = WaitingRoom(settings.max_requests, settings.max_bytes)
        self._stirred = False
        self.rejoin()

    def rejoin(self) -> None:
        """Let the wheel look after who waits."""
        self._exchanges.wheel.join(self)

    @property
    def by_model(self) -> dict[str, int]:
        """How many wait for each model that is served or configured; the others together are C{other}."""
        fleet, counts = self._exchanges.fleet, dict[str, int]()
        for model in self.room.models:
            known = model if model in fleet.by_model or model in fleet.models else OTHER
            counts[known] = counts.get(known, 0) + self.room.waiting_for(model)
        return counts

    def configure(self, settings: QueueSettings) -> None:
        """Take these bounds."""
        self.room.configure(settings.max_requests, settings.max_bytes)

    def ahead(self, model: str) -> bool:
        """Others wait for this model: who comes now has to get in line."""
        return self.room.count > 0 and self.room.waiting_for(model) > 0

    def enter(self, ticket: Ticket[Waiter]) -> bool:
        """Wait; C{called} is called when it is one's turn.

        @return: whether there was a place.
        """
        return self.room.enter(ticket)

    def leave(self, ticket: Ticket[Waiter]) -> None:
        """Wait no more."""
        self.room.leave(ticket)

    def stir(self) -> None:
        """Something has changed: call whom it helps, in a turn of the reactor of its own."""
        if self.room.count and not self._stirred:
            self._stirred = True
            self._reactor.callLater(0, self._call)

    def check(self, now: float) -> None:
        """From the wheel."""
        if self.room.count:
            self._call()

    def _call(self) -> None:
        self._stirred = False
        for model in self.room.models:
            for _ in range(self.room.waiting_for(model)):
                if not self._has_room(model):
                    break
                ticket = self.room.call(model)
                if ticket is not None:
                    ticket.owner.called()

    def _has_room(self, model: str) -> bool:
        fleet = self._exchanges.fleet
        known = model if model in fleet.by_model else fleet.resolve(model)
        if known is None:
            return fleet.settled  # nobody serves it: that is to be said
        return self._exchanges.chooser.could(known, fleet)


def priority_of(head: RequestHead) -> Priority:
    """The class that the request asks for.

    @raise MalformedRequest: there is no such class.
    """
    said = head.fields.get(b"x-aibrix-priority")
    if said is None:
        return NORMAL
    priority = _PRIORITIES.get(said.lower())
    if priority is None:
        expected = b", ".join(_PRIORITIES).decode()
        raise MalformedRequest(f"x-aibrix-priority {said[:40].decode('latin-1')!r}: expected one of {expected}")
    return priority


def tenant_of(head: RequestHead, client: str, identity: str, *, trust_user: bool) -> str:
    """Whose request it is, for fairness: its C{user} header where that is trusted, else who the client is by its
    certificate, else the address it came from."""
    user = head.fields.get(b"user") if trust_user else None
    if user is not None:
        return f"user {user.decode('latin-1')}"
    return f"identity {identity}" if identity else f"address {client}"
