"""C{session-affinity}: a session stays where it is.

Where that is says its C{x-session-id}, which comes with every answer; else its C{x-aibrix-session-key} decides, by
rendezvous, so that every gateway decides alike; a request with neither begins a session somewhere.
"""

from __future__ import annotations

from collections.abc import Sequence

from aibrix_twisted.domain.replica import Replica
from aibrix_twisted.interfaces import Random
from aibrix_twisted.policy.ask import Ask, Needs
from aibrix_twisted.policy.choice import Choice
from aibrix_twisted.policy.lot import drawn
from aibrix_twisted.policy.rendezvous import fnv_scores, highest
from aibrix_twisted.policy.scorer import Scorer


class SessionAffinity(Scorer):
    """The replica that the session names, else the one that its key belongs to, else any."""

    __slots__ = ()

    name = "session-affinity"
    most = True
    needs = Needs.FACTS

    def scores(self, candidates: Sequence[Replica], ask: Ask, now: float) -> Sequence[float]:
        """1 for the replica that the session belongs to, 0 for the others."""
        home = _home(candidates, ask)
        return [float(place == home) for place in range(len(candidates))]

    def choose(self, candidates: Sequence[Replica], ask: Ask, now: float, rng: Random) -> Choice:
        """Home, or anywhere."""
        home = _home(candidates, ask)
        if home is None:
            return Choice(drawn(candidates, rng), {})
        return Choice(candidates[home], {"home": [float(place == home) for place in range(len(candidates))]})


def _home(candidates: Sequence[Replica], ask: Ask) -> int | None:
    names = [replica.name for replica in candidates]
    if ask.session and ask.session in names:
        return names.index(ask.session)
    if ask.session_key:
        return highest(fnv_scores(ask.session_key, names), names)
    return None
