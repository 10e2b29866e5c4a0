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
    @ivar requests: finished since it started.
    @ivar cpu_cache_usage: of the part of its cache that is in the host's memory, 0 to 1.
    @ivar kv_tokens: how many tokens its key-value cache holds.
    @ivar queue_s: that finished requests waited inside it, in all, since it started; C{queue_n}: by how many of these.
    @ivar prefill_s: the same of the reading of their prompts; C{prefill_n}.
    @ivar decode_s: and of the making of their answers; C{decode_n}.
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
    requests: float | None = None
    cpu_cache_usage: float | None = None
    kv_tokens: float | None = None
    queue_s: float | None = None
    queue_n: float | None = None
    prefill_s: float | None = None
    prefill_n: float | None = None
    decode_s: float | None = None
    decode_n: float | None = None


def amended(fresh: EngineLoad | None, at: float, figures: Mapping[str, float]) -> EngineLoad:
    """What an engine says by the way, in an answer's head, on top of what it said before.

    The earlier reading keeps its time, so that nothing which it alone brought is kept fresh by what others say.

    @param fresh: the earlier reading, if it is fresh still.
    @param figures: by the names that they have here.
    """
    return EngineLoad(at=at, **figures) if fresh is None else replace(fresh, **figures)
