"""How much of a prompt has each candidate?"""

from __future__ import annotations

from collections.abc import Sequence
from math import fsum, sqrt
from typing import Any

from aibrix_twisted.domain.prefix_index import PrefixIndex
from aibrix_twisted.domain.replica import Replica
from aibrix_twisted.policy.ask import Ask, Needs
from aibrix_twisted.policy.choice import Usage
from aibrix_twisted.policy.scorer import Scorer


class Crediting(Scorer):
    """A policy that goes by the prefix index, and keeps it."""

    __slots__ = ("index",)

    needs = Needs.PROMPT
    learns = True

    def __init__(self, index: PrefixIndex) -> None:
        self.index = index

    def chosen(self, replica: Replica, ask: Ask, now: float) -> Any:
        """The prompt is expected of the replica from now on."""
        return self.index.expect(ask.prompt, replica, now) if ask.prompt.hashes else None

    def ended(self, memo: Any, now: float, *, well: bool, usage: Usage | None) -> None:
        """It has it, or has not."""
        if memo is not None:
            if well:
                memo.confirm(now)
            else:
                memo.drop()


def percents(depths: Sequence[int], blocks: int) -> list[int]:
    """Of the prompt's blocks, in whole per cent."""
    return [depth * 100 // blocks for depth in depths] if blocks else [0] * len(depths)


def spread(loads: Sequence[float]) -> tuple[float, float]:
    """Mean, and standard deviation of a sample; 0 of one."""
    mean = fsum(loads) / len(loads)
    if len(loads) < 2:
        return mean, 0.0
    return mean, sqrt(fsum([(load - mean) * (load - mean) for load in loads]) / (len(loads) - 1))
