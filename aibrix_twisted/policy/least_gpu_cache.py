"""C{least-gpu-cache}: the replica whose key-value cache is emptiest in its accelerator's memory."""

from __future__ import annotations

from collections.abc import Sequence

from aibrix_twisted.domain.replica import Replica
from aibrix_twisted.policy.ask import Ask
from aibrix_twisted.policy.scorer import UNKNOWN, Scorer


class LeastGpuCache(Scorer):
    """By what engines say of their caches."""

    __slots__ = ()

    name = "least-gpu-cache"

    def scores(self, candidates: Sequence[Replica], ask: Ask, now: float) -> Sequence[float]:
        """How full each one's cache is: 0 to 1."""
        engines = [replica.load.fresh_engine(now) for replica in candidates]
        return [UNKNOWN if engine is None or engine.kv_usage is None else engine.kv_usage for engine in engines]
