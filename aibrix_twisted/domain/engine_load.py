"""What an engine says of its own load, in one set of names whatever the engine calls them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineLoad:
    """One reading.  What an engine does not say is C{None}, never 0.

    @ivar running: requests that are computed now.
    @ivar waiting: requests that wait inside the engine.
    @ivar kv_usage: of its key-value cache, 0 to 1; the fullest of its ranks.
    @ivar prefix_cache_queries: tokens looked for in its prefix cache since it started.
    @ivar prefix_cache_hits: and found.
    @ivar prompt_tokens: taken in since it started.
    @ivar generation_tokens: made since it started.
    @ivar preemptions: requests put back since it started.
    @ivar at: when it was read, in seconds of the caller's clock.
    """

    at: float
    running: float | None = None
    waiting: float | None = None
    kv_usage: float | None = None
    prefix_cache_queries: float | None = None
    prefix_cache_hits: float | None = None
    prompt_tokens: float | None = None
    generation_tokens: float | None = None
    preemptions: float | None = None


def amended(fresh: EngineLoad | None, at: float, figures: Mapping[str, float]) -> EngineLoad:
    """What an engine says by the way, in an answer's head, on top of what it said before.

    The earlier reading keeps its time, so that nothing which it alone brought is kept fresh by what others say.

    @param fresh: the earlier reading, if it is fresh still.
    @param figures: by the names that they have here.
    """
    return EngineLoad(at=at, **figures) if fresh is None else replace(fresh, **figures)
