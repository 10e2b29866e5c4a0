"""C{load-aware}: what a replica has of the prompt, less what it has to do beyond the others.

Both as shares: to be as loaded as the mean again costs as much as the whole prompt in the cache brings (the formula is
vLLM production-stack's C{loadaware}).
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean
from typing import Final

from aibrix_twisted.domain.replica import Replica
from aibrix_twisted.policy.ask import Ask
from aibrix_twisted.policy.least_loaded import loads_of
from aibrix_twisted.policy.prefix_scores import Crediting

#: What being loaded as much as the mean, above it, costs in shares of the prompt.
BETA: Final = 1.0


class LoadAware(Crediting):
    """The highest score."""

    __slots__ = ()

    name = "load-aware"
    most = True

    def scores(self, candidates: Sequence[Replica], ask: Ask, now: float) -> Sequence[float]:
        """Share of the prompt that it has, less the share of the mean load that it is above it."""
        prompt, loads = ask.prompt, loads_of(candidates)
        mean = fmean(loads)
        length = prompt.length or 1
        return [
            prompt.covered(depth) / length - BETA * (load - mean) / max(1.0, mean)
            for depth, load in zip(self.index.depths(prompt, candidates), loads, strict=True)
        ]
