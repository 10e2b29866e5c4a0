"""C{consistent-hash}: one key, one replica, unless that has more than its share of the load (Mirrokni et al., 2016).

The key is the session's, else the user, else the beginning of the prompt, so that what begins alike is together.  It is
never a request's own id, which would make a lot of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from typing import Final

from aibrix_twisted.domain.replica import Replica
from aibrix_twisted.interfaces import Random
from aibrix_twisted.policy.ask import Ask, Needs
from aibrix_twisted.policy.choice import Choice, Fallback, Missing
from aibrix_twisted.policy.least_loaded import least_loaded, loads_of
from aibrix_twisted.policy.policy import Policy
from aibrix_twisted.policy.rendezvous import order

#: How far above the average load the owner of a key may be.
BOUND: Final = 1.25

#: So much of a prompt's beginning is its key, in bytes: 256 tokens or so.
KEY_BYTES: Final = 1024


class ConsistentHash(Policy):
    """The key's owner; where that has too much, the next one in the key's own order."""

    __slots__ = ()

    name = "consistent-hash"
    needs = Needs.PROMPT

    def choose(self, candidates: Sequence[Replica], ask: Ask, now: float, rng: Random) -> Choice:
        """The first in the key's order that is within the bound."""
        key = key_of(ask)
        if not key:
            replica, loads = least_loaded(candidates, rng)
            return Choice(replica, {"load": loads}, (Fallback(self.name, Missing.KEY),))
        names, weights = [replica.name for replica in candidates], [replica.weight for replica in candidates]
        places, loads = order(key, names, weights), loads_of(candidates)
        counts = [replica.load.in_flight + replica.load.elsewhere for replica in candidates]
        bound = BOUND * (sum(counts) + 1) / sum(weights)  # this one counted
        turns = [0.0] * len(places)
        for turn, place in enumerate(places):
            turns[place] = float(turn)
        within = (place for place in places if counts[place] < ceil(bound * weights[place]))
        return Choice(candidates[next(within)], {"turn": turns, "load": loads})


def key_of(ask: Ask) -> bytes:
    """What the request is placed by; empty where it has nothing."""
    if ask.session_key:
        return ask.session_key
    if ask.session:
        return ask.session.encode()
    if ask.user:
        return ask.user.encode()
    prompt = ask.prompt
    if not prompt.hashes:
        return b""
    blocks = sum(1 for end in prompt.ends[: len(prompt.hashes)] if end <= KEY_BYTES) if prompt.ends else 0
    return int(prompt.hashes[max(blocks, 1) - 1]).to_bytes(8, "little")
