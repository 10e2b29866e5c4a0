"""C{least-kv-cache}: the replica whose key-value cache is emptiest, in its engine's memory and in the host's."""

from __future__ import annotations

from collections.abc import Sequence

from aibrix_twisted.domain.engine_load import EngineLoad
from aibrix_twisted.domain.replica import Replica
from aibrix_twisted.policy.ask import Ask
from aibrix_twisted.policy.scorer import UNKNOWN, Scorer


class LeastKvCache(Scorer):
    """By what engines say of their caches.  One that says nothing of a part in the host's memory has none there."""

    __slots__ = ()

    name = "least-kv-cache"

    def scores(self, candidates: Sequence[Replica], ask: Ask, now: float) -> Sequence[float]:
        """How full each one's cache is: 0 to 2."""
        return [_fullness(replica.load.fresh_engine(now)) for replica in candidates]


def _fullness(engine: EngineLoad | None) -> float:
    if engine is None or engine.kv_usage is None:
        return UNKNOWN
    return engine.kv_usage + (engine.cpu_cache_usage or 0.0)
