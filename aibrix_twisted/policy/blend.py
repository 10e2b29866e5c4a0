"""Several policies as one: each candidate's figures made comparable, weighted, and added up, as AIBrix does."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite
from typing import Any, Final

from aibrix_twisted.domain.replica import Replica
from aibrix_twisted.interfaces import Random
from aibrix_twisted.policy.ask import Ask
from aibrix_twisted.policy.choice import Choice, Fallback, Usage
from aibrix_twisted.policy.lot import drawn
from aibrix_twisted.policy.policy import Policy
from aibrix_twisted.policy.scorer import Scorer

#: Sums that differ by less than this are equal.
EQUAL: Final = 1e-9


def normalised(scores: Sequence[float], *, most: bool) -> list[float]:
    """From 0, the worst, to 1, the best; all that have a figure are the best where these are equal, and who has none is
    the worst.
    """
    known = [score for score in scores if isfinite(score)]
    if not known:
        return [0.0] * len(scores)
    least, greatest = min(known), max(known)
    width = greatest - least
    if not width:
        return [1.0 if isfinite(score) else 0.0 for score in scores]
    if not isfinite(width):  # they are of opposite sign, and beyond all measure
        return normalised([score / 2 for score in scores], most=most)
    if most:
        return [(score - least) / width if isfinite(score) else 0.0 for score in scores]
    return [(greatest - score) / width if isfinite(score) else 0.0 for score in scores]


def blended(rows: Sequence[tuple[Sequence[float], float]]) -> list[float]:
    """Rows of normalised figures with their weights, as one."""
    total = sum(weight for _, weight in rows)
    return [sum(row[place] * weight for row, weight in rows) / total for place in range(len(rows[0][0]))]


class Blend(Policy):
    """The highest sum; among equals, the lot."""

    __slots__ = ("_scorers", "learns", "name", "needs")

    def __init__(self, name: str, scorers: Sequence[tuple[Scorer, int]]) -> None:
        self.name = name
        self._scorers = scorers
        self.needs = max(scorer.needs for scorer, _ in scorers)
        self.learns = any(scorer.learns for scorer, _ in scorers)

    def choose(self, candidates: Sequence[Replica], ask: Ask, now: float, rng: Random) -> Choice:
        """See L{IPolicy}."""
        why: dict[str, Sequence[float]] = {}
        rows: list[tuple[Sequence[float], float]] = []
        missing = []
        for scorer, weight in self._scorers:
            scores = scorer.scores(candidates, ask, now)
            if not any(map(isfinite, scores)):
                missing.append(Fallback(scorer.name, scorer.missing))
            why[scorer.name] = scores
            rows.append((normalised(scores, most=scorer.most), weight))
        why["score"] = sums = blended(rows)
        best = max(sums)
        equals = [replica for replica, sum in zip(candidates, sums, strict=True) if best - sum < EQUAL]
        return Choice(equals[0] if len(equals) == 1 else drawn(equals, rng), why, tuple(missing))

    def chosen(self, replica: Replica, ask: Ask, now: float) -> list[Any]:
        """Told to each, in their order."""
        return [scorer.chosen(replica, ask, now) for scorer, _ in self._scorers]

    def answered(self, memo: list[Any], now: float) -> None:
        """Told to each."""
        for (scorer, _), of_it in zip(self._scorers, memo, strict=True):
            scorer.answered(of_it, now)

    def ended(self, memo: list[Any], now: float, *, well: bool, usage: Usage | None) -> None:
        """Told to each."""
        for (scorer, _), of_it in zip(self._scorers, memo, strict=True):
            scorer.ended(of_it, now, well=well, usage=usage)
