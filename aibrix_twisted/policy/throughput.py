"""C{throughput}: the replica whose engine has processed the least in the last minute, prompts counted twice."""

from __future__ import annotations

from collections.abc import Sequence

from aibrix_twisted.domain.replica import Replica
from aibrix_twisted.policy.ask import Ask
from aibrix_twisted.policy.scorer import UNKNOWN, Scorer


def processed(prompt: float, generation: float) -> float:
    """Tokens of both kinds as one figure, with AIBrix's weights."""
    return 2.0 * prompt + generation


class Throughput(Scorer):
    """By the growth of engines' own counters, by the second."""

    __slots__ = ()

    name = "throughput"

    def scores(self, candidates: Sequence[Replica], ask: Ask, now: float) -> Sequence[float]:
        """Weighted tokens a second; the least wins."""
        found = []
        for replica in candidates:
            trend = replica.load.trend if replica.load.fresh_engine(now) is not None else None
            prompt = trend.rate("prompt_tokens") if trend else None
            generation = trend.rate("generation_tokens") if trend else None
            found.append(UNKNOWN if prompt is None or generation is None else processed(prompt, generation))
        return found
