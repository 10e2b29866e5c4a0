"""Several policies over the same trace, each on replicas of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from aibrix_twisted.domain.prefix_index import PrefixIndex
from aibrix_twisted.domain.prompt import BYTES_A_TOKEN
from aibrix_twisted.domain.settings import PrefixCacheSettings
from aibrix_twisted.interfaces import Random
from aibrix_twisted.policy import POLICIES
from aibrix_twisted.policy.blend import Blend
from aibrix_twisted.policy.means import Means
from aibrix_twisted.policy.policy import Policy
from aibrix_twisted.policy.scorer import Scorer
from aibrix_twisted.policy.strategy import Strategy
from aibrix_twisted.replay.engine import Job, Speed
from aibrix_twisted.replay.run import replay, replicas_named
from aibrix_twisted.replay.trace import MOONCAKE_BLOCK_TOKENS, Arrival

#: As many as there are: what bounds the index is what engines say of their caches.
_UNBOUND_BLOCKS = 1 << 30


class Field(NamedTuple):
    """What all of them meet.

    @ivar cache_blocks: of each replica, of 512 tokens each.
    @ivar pace: how much faster requests come than in the trace.
    """

    arrivals: Sequence[Arrival]
    replicas: int = 8
    cache_blocks: int = 6000
    pace: float = 1.0
    speed: Speed = Speed()


def contest(
    strategy: Strategy, field: Field, rng: Random, progress: Callable[[int], None] = lambda count: None
) -> list[Job]:
    """One of them.

    @param progress: told of how many requests more have come.
    @return: what came of each request.
    """
    return replay(
        field.arrivals,
        policy_of(strategy),
        replicas_named(field.replicas),
        field.speed,
        field.cache_blocks,
        rng,
        pace=field.pace,
        progress=progress,
    )


def policy_of(strategy: Strategy) -> Policy:
    """The gateway's own, that knows nothing yet."""
    block_bytes = MOONCAKE_BLOCK_TOKENS * BYTES_A_TOKEN
    settings = PrefixCacheSettings(block_bytes=block_bytes)
    means = Means(PrefixIndex(_UNBOUND_BLOCKS, settings.ttl, block_bytes), settings)
    parts = [(POLICIES[part.name](means), part.weight) for part in strategy.parts]
    if len(parts) == 1:
        return parts[0][0]
    return Blend(strategy.said, [(policy, weight) for policy, weight in parts if isinstance(policy, Scorer)])
