"""Who may be asked at all?  Of a model's replicas, those that a policy may choose among now, or why there are none."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence

from aibrix_twisted.domain.replica import Replica
from aibrix_twisted.interfaces import Random


class Lack(enum.Enum):
    """Why there is no candidate."""

    DOWN = "down"  # no replica of the model is up: it pays to wait
    BUSY = "busy"  # all that could be asked have as much as they may: it pays to wait
    SUSPECT = "suspect"  # those that failed may be gone; the next probe will tell
    UNMATCHED = "unmatched"  # no replica of the model is one that the request would have
    TRIED = "tried"  # all that could be asked were, and failed


#: Replicas that were tried, and how often each had come up by then.
Tried = Mapping[Replica, int]


def candidates(
    replicas: Sequence[Replica], tried: Tried, now: float, rng: Random, *, engine_waiting: int = 0
) -> Sequence[Replica] | Lack:
    """Those that may be asked.

    A replica that was tried may be tried again only once it was down and has come up since.  When every replica that
    is standing is ejected, they are asked all the same.

    @param replicas: the model's; none where only the settings speak of it, or those that served it are gone.
    @param engine_waiting: see L{Replica.has_room}.
    """
    if not replicas:
        return Lack.DOWN
    if not tried and all(replica.health.plain and replica.models is not None for replica in replicas):
        free = [replica for replica in replicas if replica.has_room(now, engine_waiting)]
        return replicas if len(free) == len(replicas) else (free or Lack.BUSY)
    standing = [replica for replica in replicas if replica.models is not None and replica.health.is_standing(now)]
    if not standing:
        return Lack.DOWN
    good = [replica for replica in standing if not replica.health.ejected(now)] or standing
    untried = [replica for replica in good if tried.get(replica) != replica.health.rises]
    if not untried:
        return Lack.SUSPECT if any(replica.health.suspect for replica in good) else Lack.TRIED
    free = [replica for replica in untried if replica.has_room(now, engine_waiting)]
    if not free:
        return Lack.BUSY
    return _thinned(free, now, rng)


def _thinned(free: Sequence[Replica], now: float, rng: Random) -> Sequence[Replica]:
    """Leave out those that have just recovered, by lot and ever more seldom, where there are others."""
    shares = [replica.health.share(now) for replica in free]
    if min(shares) == 1.0 or max(shares) < 1.0:
        return free
    return [replica for replica, share in zip(free, shares, strict=True) if share == 1.0 or rng.random() < share]
