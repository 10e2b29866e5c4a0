"""C{prefix-cache-preble}: where most of a prompt is known, one of those that know it; else where it costs least.

Preble's rule ("exploitation and exploration", Srivatsa et al., 2024): a prompt that is for the greater part in some
cache goes to the one of its holders that has been given the least; any other goes where what was given of late, and
what is still to be read of this one, together take the least time.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence, Set
from typing import Any, Final

from aibrix_twisted.domain.prefix_index import PrefixIndex
from aibrix_twisted.domain.prompt import BYTES_A_TOKEN
from aibrix_twisted.domain.replica import Replica
from aibrix_twisted.interfaces import Random
from aibrix_twisted.policy.ask import Ask
from aibrix_twisted.policy.choice import Choice
from aibrix_twisted.policy.least_loaded import loads_of
from aibrix_twisted.policy.lot import drawn
from aibrix_twisted.policy.policy import kept
from aibrix_twisted.policy.preble_cost import ANSWER_TOKENS, TOKEN_S, prefill_s
from aibrix_twisted.policy.prefix_cache import imbalanced
from aibrix_twisted.policy.prefix_scores import Crediting

#: A prompt of which a greater share is known goes to who knows it.
EXPLOITED: Final = 0.5

#: How long what was given counts, in seconds.
WINDOW_S: Final = 180


class _Given:
    """What one replica was given of late, in seconds of its work, by the second."""

    __slots__ = ("_by_second", "_sum")

    def __init__(self) -> None:
        self._by_second: deque[list[float]] = deque(maxlen=WINDOW_S + 1)
        self._sum = 0.0

    def sum(self, now: float) -> float:
        """Of the window."""
        while self._by_second and self._by_second[0][0] <= now - WINDOW_S:
            self._sum -= self._by_second.popleft()[1]
        return self._sum if self._by_second else 0.0

    def add(self, seconds: float, now: float) -> None:
        """It is given this much."""
        self.sum(now)
        second = float(int(now))
        if self._by_second and self._by_second[-1][0] == second:
            self._by_second[-1][1] += seconds
        else:
            if not self._by_second:
                self._sum = 0.0
            self._by_second.append([second, seconds])
        self._sum += seconds


class PrefixCachePreble(Crediting):
    """Preble's rule, with AIBrix's look at the balance before it."""

    __slots__ = ("_given", "_imbalance")

    name = "prefix-cache-preble"

    def __init__(self, index: PrefixIndex, imbalance: float) -> None:
        """
        @param imbalance: see L{aibrix_twisted.policy.prefix_cache.PrefixCache}.
        """
        super().__init__(index)
        self._imbalance = imbalance
        self._given: dict[str, _Given] = {}

    def scores(self, candidates: Sequence[Replica], ask: Ask, now: float) -> Sequence[float]:
        """What each has been given of late and would be given now, in seconds of its work."""
        depths = self.index.depths(ask.prompt, candidates)
        return [
            self._spent(replica, now) + _cost(ask, depth) / replica.weight
            for replica, depth in zip(candidates, depths, strict=True)
        ]

    def choose(self, candidates: Sequence[Replica], ask: Ask, now: float, rng: Random) -> Choice:
        """By the rule."""
        depths, loads = self.index.depths(ask.prompt, candidates), loads_of(candidates)
        places = list(range(len(candidates)))
        if imbalanced(loads, self._imbalance):
            fewest = min(loads)
            places = [place for place in places if loads[place] == fewest]
        spent = [self._spent(replica, now) for replica in candidates]
        deepest = max(depths[place] for place in places)
        costs = spent
        if ask.prompt.covered(deepest) > EXPLOITED * ask.prompt.length:
            places = [place for place in places if depths[place] == deepest]
        else:
            costs = [
                cost + _cost(ask, depth) / replica.weight
                for cost, depth, replica in zip(spent, depths, candidates, strict=True)
            ]
        least = min(costs[place] for place in places)
        equals = [candidates[place] for place in places if costs[place] == least]
        return Choice(drawn(equals, rng), {"matched_blocks": depths, "cost_s": costs, "load": loads})

    def chosen(self, replica: Replica, ask: Ask, now: float) -> Any:
        """It has been given this one."""
        (depth,) = self.index.depths(ask.prompt, (replica,))
        self._given.setdefault(replica.name, _Given()).add(_cost(ask, depth), now)
        return super().chosen(replica, ask, now)

    def forget_all_but(self, names: Set[str]) -> None:
        """Of replicas that are gone."""
        self._given = kept(self._given, names)

    def _spent(self, replica: Replica, now: float) -> float:
        given = self._given.get(replica.name)
        return given.sum(now) / replica.weight if given is not None else 0.0


def _cost(ask: Ask, depth: int) -> float:
    """Seconds of work for whoever has so many blocks of it."""
    missed = (ask.prompt.length - ask.prompt.covered(depth)) / BYTES_A_TOKEN
    return prefill_s(missed, ask.prompt.tokens) + ANSWER_TOKENS * TOKEN_S
