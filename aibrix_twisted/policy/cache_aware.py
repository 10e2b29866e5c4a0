"""C{cache-aware}: the longest beginning, as long as the fleet is in balance; the peers' policy, corrected.

Theirs (vllm-router's and SGLang's C{cache_aware}) turns blind to the cache once the fleet is out of balance.  Here
whoever is not far above the least loaded is looked at then, and the longest beginning among these still counts.  Long
contexts fill an engine with few requests, so a cache that is nearly full is out of balance, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from aibrix_twisted.domain.replica import Replica
from aibrix_twisted.interfaces import Random
from aibrix_twisted.policy.ask import Ask
from aibrix_twisted.policy.choice import Choice
from aibrix_twisted.policy.least_loaded import loads_of
from aibrix_twisted.policy.lot import drawn
from aibrix_twisted.policy.prefix_scores import Crediting

#: A beginning counts if it is more than this share of the prompt.
THRESHOLD: Final = 0.3

#: Out of balance: the most and the least loaded differ by so much, and in such a ratio.
BALANCE_ABSOLUTE: Final = 64
BALANCE_RELATIVE: Final = 1.5

#: An engine whose cache is as full as this is left alone while there are others.
FULL: Final = 0.95


class CacheAware(Crediting):
    """The longest beginning among those that may have it."""

    __slots__ = ()

    name = "cache-aware"
    most = True

    def scores(self, candidates: Sequence[Replica], ask: Ask, now: float) -> Sequence[float]:
        """The share of the prompt that each has."""
        prompt = ask.prompt
        length = prompt.length or 1
        return [prompt.covered(depth) / length for depth in self.index.depths(prompt, candidates)]

    def choose(self, candidates: Sequence[Replica], ask: Ask, now: float, rng: Random) -> Choice:
        """By the rule."""
        shares, loads = self.scores(candidates, ask, now), loads_of(candidates)
        places = [place for place, replica in enumerate(candidates) if not _is_full(replica, now)]
        places = places or list(range(len(candidates)))
        least, most = min(loads[place] for place in places), max(loads[place] for place in places)
        if most - least > BALANCE_ABSOLUTE and most > BALANCE_RELATIVE * least:
            places = [place for place in places if loads[place] <= least + BALANCE_ABSOLUTE]
        longest = max(shares[place] for place in places)
        if longest > THRESHOLD:
            places = [place for place in places if shares[place] == longest]
        fewest = min(loads[place] for place in places)
        equals = [candidates[place] for place in places if loads[place] == fewest]
        return Choice(drawn(equals, rng), {"match": shares, "load": loads})


def _is_full(replica: Replica, now: float) -> bool:
    engine = replica.load.fresh_engine(now)
    return engine is not None and engine.kv_usage is not None and engine.kv_usage > FULL
