"""What a policy says: who, and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import NamedTuple

from aibrix_twisted.domain.replica import Replica

#: What a choice was made by: names to figures, one for each candidate, in their order.
Why = Mapping[str, Sequence[float]]


class Missing(StrEnum):
    """What a policy had to do without."""

    METRICS = "no_metrics"  # no candidate's engine says it, or what it said is too old
    USER = "no_user"  # nobody knows whose the request is
    KEY = "no_key"  # it has nothing that it could be placed by
    PROMPT = "no_prompt"  # it has none that we know how to read
    SHORT_PROMPT = "short_prompt"  # not one whole block
    SLO = "no_slo"  # the model has no objective
    PROFILE = "no_profile"  # no candidate's GPU was measured
    BEYOND_PROFILE = "beyond_profile"  # what was measured says that none can do it


class Fallback(NamedTuple):
    """What a policy goes by was missing.

    @ivar policy: whose it was; within a blend, one of several.
    """

    policy: str
    reason: Missing


class Choice:
    """Who, and why.  Made with each request.

    @ivar fallbacks: what was missing, and was done without.
    """

    __slots__ = ("fallbacks", "replica", "why")

    def __init__(self, replica: Replica, why: Why, fallbacks: tuple[Fallback, ...] = ()) -> None:
        self.replica = replica
        self.why = why
        self.fallbacks = fallbacks


class Usage:
    """What an engine says that a request took, in tokens."""

    __slots__ = ("input_tokens", "output_tokens")

    def __init__(self, input_tokens: int, output_tokens: int) -> None:
        self.input_tokens = input_tokens
        self.output_tokens = output_tokens
