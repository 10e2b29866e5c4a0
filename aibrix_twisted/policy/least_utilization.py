"""C{least-utilization}: the replica of whose engine the least is in use.

What bounds how much an engine does at once is its key-value cache, so the part of it that is in use is the engine's
utilization; an engine in which requests wait is in use wholly, and is the more behind the more of them wait.
"""

from __future__ import annotations

from collections.abc import Sequence

from aibrix_twisted.domain.engine_load import EngineLoad
from aibrix_twisted.domain.replica import Replica
from aibrix_twisted.policy.ask import Ask
from aibrix_twisted.policy.scorer import UNKNOWN, Scorer


class LeastUtilization(Scorer):
    """By what engines say of their caches and of what waits."""

    __slots__ = ()

    name = "least-utilization"

    def scores(self, candidates: Sequence[Replica], ask: Ask, now: float) -> Sequence[float]:
        """0 to 1; above where requests wait inside the engine."""
        return [_utilization(replica.load.fresh_engine(now)) for replica in candidates]


def _utilization(engine: EngineLoad | None) -> float:
    if engine is None:
        return UNKNOWN
    if engine.waiting:
        return 1.0 + engine.waiting
    return UNKNOWN if engine.kv_usage is None else engine.kv_usage
