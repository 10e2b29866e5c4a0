"""C{prefix-cache}: the replica that has most of the prompt's beginning, unless it has too much to do.

AIBrix's rule: where the fleet is far out of balance, only the least loaded count; of those that have something of the
prompt, the one that has most, then the least loaded, is taken if its load is not too far above the mean; if none is,
the least loaded of all.
"""

from __future__ import annotations

from collections.abc import Sequence

from aibrix_twisted.domain.prefix_index import PrefixIndex
from aibrix_twisted.domain.replica import Replica
from aibrix_twisted.interfaces import Random
from aibrix_twisted.policy.ask import Ask
from aibrix_twisted.policy.choice import Choice, Fallback, Missing
from aibrix_twisted.policy.least_loaded import least_loaded, loads_of
from aibrix_twisted.policy.lot import drawn
from aibrix_twisted.policy.prefix_scores import Crediting, percents, spread


class PrefixCache(Crediting):
    """AIBrix's rule."""

    __slots__ = ("_deviations", "_imbalance")

    name = "prefix-cache"
    most = True

    def __init__(self, index: PrefixIndex, imbalance: float, deviations: float) -> None:
        """
        @param imbalance: the most that loads may differ by before only the least loaded count.
        @param deviations: how many standard deviations above the mean load whoever has the beginning may be.
        """
        super().__init__(index)
        self._imbalance = imbalance
        self._deviations = deviations

    def scores(self, candidates: Sequence[Replica], ask: Ask, now: float) -> Sequence[float]:
        """How much of the prompt each has, in per cent."""
        return percents(self.index.depths(ask.prompt, candidates), len(ask.prompt.hashes))

    def choose(self, candidates: Sequence[Replica], ask: Ask, now: float, rng: Random) -> Choice:
        """By the rule."""
        if len(candidates) == 1 and ask.prompt.hashes:
            return Choice(candidates[0], {})
        loads = loads_of(candidates)
        matches = self.scores(candidates, ask, now)
        why = {"match_percent": matches, "load": loads}
        place = matched(matches, loads, self._imbalance, self._deviations, candidates, rng)
        if place is not None:
            return Choice(candidates[place], why)
        replica, _ = least_loaded(candidates, rng)
        if ask.prompt.hashes:
            return Choice(replica, why)
        reason = Missing.SHORT_PROMPT if ask.prompt.length else Missing.PROMPT
        return Choice(replica, why, (Fallback(self.name, reason),))


def imbalanced(loads: Sequence[float], most: float) -> bool:
    """They differ by more than that."""
    return max(loads) - min(loads) > most


def matched(
    matches: Sequence[float],
    loads: Sequence[float],
    imbalance: float,
    deviations: float,
    candidates: Sequence[Replica],
    rng: Random,
) -> int | None:
    """Who has something of the prompt and may be given it; C{None}: nobody."""
    fewest = min(loads) if imbalanced(loads, imbalance) else None
    places = [place for place, match in enumerate(matches) if match > 0 and (fewest is None or loads[place] == fewest)]
    if not places:
        return None
    mean, deviation = spread(loads)
    bound = mean + deviations * deviation
    within = [place for place in places if loads[place] <= bound]
    if not within:
        return None
    best = min((-matches[place], loads[place]) for place in within)
    equals = [place for place in within if (-matches[place], loads[place]) == best]
    if len(equals) == 1:
        return equals[0]
    return candidates.index(drawn([candidates[place] for place in equals], rng))
