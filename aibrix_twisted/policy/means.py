"""What policies are made with."""

from __future__ import annotations

from dataclasses import dataclass, field

from aibrix_twisted.domain.prefix_index import PrefixIndex
from aibrix_twisted.domain.settings import PrefixCacheSettings, SloSettings
from aibrix_twisted.policy.slo import ProfileOf


@dataclass(frozen=True, slots=True)
class Means:
    """Of one model.

    @ivar index: shared by all of its policies that go by it.
    @ivar slo: the model's objective.
    @ivar profile_of: what is known of a replica's GPU.
    """

    index: PrefixIndex
    prefix: PrefixCacheSettings = field(default_factory=PrefixCacheSettings)
    slo: SloSettings | None = None
    profile_of: ProfileOf = lambda replica: None
