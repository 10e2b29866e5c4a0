"""The waiting room: requests that no replica can take now, and who is next.

Bounded in number and in bytes.  By model; within a model a higher class goes first; within a class the tenants take
turns by deficit round robin (Shreedhar and Varghese, 1995), a request costing what its body weighs, so that neither
many requests nor long ones give a tenant more than its part.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator
from typing import Final, Generic, TypeVar

Owner = TypeVar("Owner")

#: What a tenant may use up in one turn, in bytes of bodies.
QUANTUM: Final = 16384

#: What a request costs at the least and at the most, in bytes: one without a word takes an engine's place, too, and
#: none may keep everyone going round for its turn.
_LEAST: Final = QUANTUM // 4
_MOST: Final = QUANTUM * 16


class Priority(enum.IntEnum):
    """Classes of requests, as C{x-aibrix-priority} names them; those of a lower number go first."""

    HIGH = 0
    NORMAL = 1
    LOW = 2


#: That of a request which names none.
NORMAL: Final = Priority.NORMAL


class Ticket(Generic[Owner]):
    """A place in the room.

    @ivar owner: whoever waits.
    @ivar model: what it waits for.
    @ivar size: bytes that it keeps from being freed.
    @ivar deadline: when it has waited long enough, in seconds of the caller's clock.
    """

    __slots__ = ("deadline", "model", "owner", "priority", "size", "tenant")

    def __init__(
        self, owner: Owner, model: str, *, priority: Priority, tenant: str, size: int, deadline: float
    ) -> None:
        self.owner = owner
        self.model = model
        self.priority = priority
        self.tenant = tenant
        self.size = size
        self.deadline = deadline


class WaitingRoom(Generic[Owner]):
    """Everyone who waits.

    @ivar count: how many do.
    @ivar bytes: what their bodies take.
    """

    def __init__(self, max_requests: int, max_bytes: int) -> None:
        self.configure(max_requests, max_bytes)
        self.count = 0
        self.bytes = 0
        self._lines: dict[str, dict[Priority, _Line[Owner]]] = {}

    def configure(self, max_requests: int, max_bytes: int) -> None:
        """Take these bounds.  Who is in stays in."""
        self._max_requests, self._max_bytes = max_requests, max_bytes

    def enter(self, ticket: Ticket[Owner]) -> bool:
        """Take a place, behind the others of its class and tenant.

        @return: whether there was one.
        """
        if self.count >= self._max_requests or self.bytes + ticket.size > self._max_bytes:
            return False
        self.count += 1
        self.bytes += ticket.size
        self._lines.setdefault(ticket.model, {}).setdefault(ticket.priority, _Line()).append(ticket)
        return True

    def leave(self, ticket: Ticket[Owner]) -> None:
        """Give the place up.

        @raise KeyError: it has none: a defect of ours.
        """
        self._lines[ticket.model][ticket.priority].remove(ticket)
        self._left(ticket)

    def call(self, model: str) -> Ticket[Owner] | None:
        """The next one for a model, who has left the room with this; C{None} where nobody waits for it."""
        line = next((line for _, line in sorted(self._lines.get(model, {}).items())), None)
        if line is None:
            return None
        ticket = line.pop()
        self._left(ticket)
        return ticket

    def waiting_for(self, model: str) -> int:
        """How many wait for a model."""
        return sum(line.count for line in self._lines.get(model, {}).values())

    @property
    def models(self) -> list[str]:
        """Those that somebody waits for."""
        return list(self._lines)

    def __iter__(self) -> Iterator[Ticket[Owner]]:
        """Everyone, in no order that means anything."""
        for lines in self._lines.values():
            for line in lines.values():
                yield from line

    def recount(self) -> None:
        """Count anew who is in: it was found to be otherwise than counted."""
        tickets = list(self)
        self.count, self.bytes = len(tickets), sum(ticket.size for ticket in tickets)

    def _left(self, ticket: Ticket[Owner]) -> None:
        self.count -= 1
        self.bytes -= ticket.size
        lines = self._lines[ticket.model]
        if not lines[ticket.priority].count:
            del lines[ticket.priority]
            if not lines:
                del self._lines[ticket.model]


class _Turn(Generic[Owner]):
    """A tenant's tickets in their order, and what it may still use up."""

    __slots__ = ("deficit", "tickets")

    def __init__(self) -> None:
        self.deficit = QUANTUM
        self.tickets: dict[Ticket[Owner], None] = {}


class _Line(Generic[Owner]):
    """One class of one model.  The tenant whose turn it is comes first."""

    __slots__ = ("_turns", "count")

    def __init__(self) -> None:
        self._turns: dict[str, _Turn[Owner]] = {}
        self.count = 0

    def append(self, ticket: Ticket[Owner]) -> None:
        self._turns.setdefault(ticket.tenant, _Turn()).tickets[ticket] = None
        self.count += 1

    def remove(self, ticket: Ticket[Owner]) -> None:
        turn = self._turns[ticket.tenant]
        del turn.tickets[ticket]
        self.count -= 1
        if not turn.tickets:
            del self._turns[ticket.tenant]

    def pop(self) -> Ticket[Owner]:
        while True:
            tenant, turn = next(iter(self._turns.items()))
            ticket = next(iter(turn.tickets))
            cost = min(max(ticket.size, _LEAST), _MOST)
            alone = len(self._turns) == 1
            if alone or turn.deficit >= cost:
                turn.deficit = 0 if alone else turn.deficit - cost
                self.remove(ticket)
                return ticket
            turn.deficit += QUANTUM
            self._turns[tenant] = self._turns.pop(tenant)  # to the end

    def __iter__(self) -> Iterator[Ticket[Owner]]:
        for turn in self._turns.values():
            yield from turn.tickets
