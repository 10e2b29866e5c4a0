"""The flight recorder: what the last decisions were made by, so that it can be asked afterwards why they were made.

A decision costs one object and its place in a queue.  What came of it is not written here: the exchange knows.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from typing import Final

from aibrix_twisted.domain.exchange import Exchange
from aibrix_twisted.domain.replica import Replica
from aibrix_twisted.policy.ask import Ask
from aibrix_twisted.policy.choice import Choice
from aibrix_twisted.policy.policy import Policy

#: Hashes of prompts that all that is recorded may have, together; 100 bytes or so each, where nobody else has them.
MAX_BLOCKS: Final = 262_144


class Flight:
    """One decision.

    @ivar at: when, by the reactor's clock.
    @ivar candidates: among whom.
    """

    __slots__ = ("ask", "at", "candidates", "choice", "exchange", "model", "policy")

    def __init__(
        self,
        exchange: Exchange,
        model: str,
        policy: Policy,
        ask: Ask,
        at: float,
        candidates: Sequence[Replica],
        choice: Choice,
    ) -> None:
        self.exchange = exchange
        self.model = model
        self.policy = policy
        self.ask = ask
        self.at = at
        self.candidates = candidates
        self.choice = choice


class Flights:
    """The newest of them."""

    def __init__(self, size: int) -> None:
        self._kept: deque[Flight] = deque(maxlen=size)
        self._size = size
        self._blocks = 0

    def configure(self, size: int) -> None:
        """Keep so many; 0: none."""
        if size != self._size:
            self._kept = deque(self._kept, maxlen=size)
            self._size = size
            self._blocks = sum(len(flight.ask.prompt.hashes) for flight in self._kept)

    def add(self, flight: Flight) -> None:
        """One more; the oldest makes room."""
        kept = self._kept
        blocks = len(flight.ask.prompt.hashes)
        if blocks or self._blocks:
            if self._size and len(kept) == self._size:
                self._blocks -= len(kept.popleft().ask.prompt.hashes)
            self._blocks += blocks if self._size else 0
            while self._blocks > MAX_BLOCKS:
                self._blocks -= len(kept.popleft().ask.prompt.hashes)
        kept.append(flight)

    def of(self, id: str) -> list[Flight]:
        """The decisions of the newest exchange with this id, oldest first."""
        found: list[Flight] = []
        for flight in reversed(self._kept):
            if flight.exchange.id == id and (not found or flight.exchange is found[0].exchange):
                found.append(flight)
        return found[::-1]

    def __iter__(self) -> Iterator[Flight]:
        """All, oldest first."""
        return iter(tuple(self._kept))
