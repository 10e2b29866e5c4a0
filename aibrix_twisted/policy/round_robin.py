"""C{round-robin}: each in turn, as often as its weight says."""

from __future__ import annotations

from collections.abc import Sequence, Set

from aibrix_twisted.domain.replica import Replica
from aibrix_twisted.interfaces import Random
from aibrix_twisted.policy.ask import Ask
from aibrix_twisted.policy.choice import Choice
from aibrix_twisted.policy.policy import Policy, kept


class RoundRobin(Policy):
    """The candidate whose next turn is due first (stride scheduling, Waldspurger and Weihl, 1995).

    Remembering when each is due, instead of a position, keeps the order fair while replicas come, go, and are left out
    of a second attempt: whoever was away is due now, and once.  Replicas that are due together go in the order of the
    configuration.
    """

    __slots__ = ("_due", "_now")

    name = "round-robin"
    learns = True

    def __init__(self) -> None:
        self._now = 0.0
        self._due: dict[str, float] = {}

    def choose(self, candidates: Sequence[Replica], ask: Ask, now: float, rng: Random) -> Choice:
        """The one that is due first."""
        due = [self._due.get(replica.name, self._now) for replica in candidates]
        return Choice(candidates[due.index(min(due))], {"due": due})

    def forget_all_but(self, names: Set[str]) -> None:
        """Of replicas that are gone."""
        self._due = kept(self._due, names)

    def chosen(self, replica: Replica, ask: Ask, now: float) -> None:
        """It has had its turn."""
        self._now = at = max(self._now, self._due.get(replica.name, self._now))
        self._due[replica.name] = at + 1.0 / replica.weight
