"""The exchanges that are under way, and the last that are over: what can be asked for by people while it happens."""

from __future__ import annotations

from collections import deque
from itertools import chain, islice
from typing import Final

from aibrix_twisted.domain.exchange import Exchange

#: Exchanges that are over and still can be asked for.
KEPT: Final = 1000


class Book:
    """Written by the data path: one addition and one removal an exchange.

    @ivar current: those that are not over.
    @ivar past: the last that are, oldest first.
    @ivar ended: how many have ended since the start.
    """

    __slots__ = ("current", "ended", "past")

    def __init__(self, kept: int = KEPT) -> None:
        self.current: set[Exchange] = set()
        self.past: deque[Exchange] = deque(maxlen=kept)
        self.ended = 0

    def begun(self, exchange: Exchange) -> None:
        """One more."""
        self.current.add(exchange)

    def over(self, exchange: Exchange) -> None:
        """It is over.

        @raise KeyError: it already was, or never began: a defect of ours.
        """
        self.current.remove(exchange)
        self.past.append(exchange)
        self.ended += 1

    def find(self, id: str) -> Exchange | None:
        """The exchange with this id; of two the newer one."""
        found = [exchange for exchange in chain(self.current, self.past) if exchange.id == id]
        return max(found, key=lambda exchange: exchange.stamps.accepted) if found else None

    def since(self, ended: int) -> list[Exchange]:
        """Those that have ended since C{ended} was so much, as far as they are kept; oldest first."""
        fresh = min(self.ended - ended, len(self.past))
        return list(islice(reversed(self.past), fresh))[::-1]
