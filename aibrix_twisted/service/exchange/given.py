"""What a policy is told of an attempt that it chose the replica for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aibrix_twisted.policy.choice import Usage
from aibrix_twisted.service.exchange.flights import Flight

if TYPE_CHECKING:
    from aibrix_twisted.service.exchange.attempt import Attempt


class Given:
    """A policy, and its memo of one attempt.  Ends once, when the attempt is settled.

    @ivar flight: the decision.
    """

    __slots__ = ("_memo", "_policy", "flight")

    def __init__(self, flight: Flight, now: float) -> None:
        """The attempt begins."""
        self.flight = flight
        self._policy = flight.policy
        self._memo: Any = flight.policy.chosen(flight.choice.replica, flight.ask, now)

    def answered(self, now: float) -> None:
        """The first of a stream came."""
        self._policy.answered(self._memo, now)

    def ended(self, attempt: Attempt, now: float) -> None:
        """The attempt is over.  A replica that said an error has not answered; one that stopped halfway has."""
        usage = attempt.answer.usage if attempt.answer is not None else None
        self._policy.ended(
            self._memo,
            now,
            well=200 <= attempt.status < 300 and attempt.heard is not None,
            usage=Usage(usage.input or 0, usage.output or 0) if usage is not None else None,
        )
