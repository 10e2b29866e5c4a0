"""Policies that give each candidate a figure, and take the best.  Such figures can be blended."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from math import isfinite, nan
from typing import Final

from aibrix_twisted.domain.replica import Replica
from aibrix_twisted.interfaces import Random
from aibrix_twisted.policy.ask import Ask
from aibrix_twisted.policy.choice import Choice, Fallback, Missing
from aibrix_twisted.policy.least_loaded import least_loaded
from aibrix_twisted.policy.lot import drawn
from aibrix_twisted.policy.policy import Policy

#: The figure of a candidate of which nothing is known.
UNKNOWN: Final = nan


class Scorer(Policy):
    """The best figure wins; among equals, the lot.

    A candidate without a figure is taken only where none has one: then the least loaded is, and the fallback is told.
    """

    __slots__ = ()

    most: bool = False
    missing: Missing = Missing.METRICS

    @abstractmethod
    def scores(self, candidates: Sequence[Replica], ask: Ask, now: float) -> Sequence[float]:
        """One figure for each candidate, in their order; L{UNKNOWN} where there is none."""

    def choose(self, candidates: Sequence[Replica], ask: Ask, now: float, rng: Random) -> Choice:
        """See L{IPolicy}."""
        scores = self.scores(candidates, ask, now)
        known = [score for score in scores if isfinite(score)]
        why = {"score": scores}
        if not known:
            replica, loads = least_loaded(candidates, rng)
            return Choice(replica, {**why, "load": loads}, (Fallback(self.name, self.missing),))
        best = max(known) if self.most else min(known)
        equals = [replica for replica, score in zip(candidates, scores, strict=True) if score == best]
        return Choice(equals[0] if len(equals) == 1 else drawn(equals, rng), why)
