"""A model of an engine: it reads prompts one by one, but for what its cache has, and makes answers side by side.

Reading and making do not hold each other up, as where prompts are read in chunks beside the batch.  Its cache is that
of vLLM: blocks, the least recently used forgotten first, the end of a prompt before its beginning.
"""

from __future__ import annotations

import heapq
from collections import OrderedDict, deque
from typing import Final, NamedTuple

from aibrix_twisted.domain.engine_load import EngineLoad
from aibrix_twisted.replay.trace import MOONCAKE_BLOCK_TOKENS, Arrival

#: Seconds a token for an answer alone, and more for each that is made beside it.
TOKEN_S: Final = 0.015
TOKEN_BESIDE_S: Final = 0.0003


_TIMES: Final = ("queue_s", "queue_n", "prefill_s", "prefill_n", "decode_s", "decode_n")


class Speed(NamedTuple):
    """How fast it is.

    @ivar prefill: tokens of prompts a second.
    """

    prefill: float = 10_000.0
    token_s: float = TOKEN_S
    token_beside_s: float = TOKEN_BESIDE_S


class Job:
    """One request at one engine.

    @ivar place: which engine's.
    @ivar given: when it came; C{first}: when its first token came; C{ended}: when its last did.
    @ivar cached: tokens of its prompt that were in the cache.
    """

    __slots__ = ("arrival", "cached", "ended", "first", "given", "number", "place")

    def __init__(self, number: int, arrival: Arrival, given: float) -> None:
        self.number = number
        self.place = -1
        self.arrival = arrival
        self.given = given
        self.cached = 0
        self.first = self.ended = 0.0


class Engine:
    """One replica's.  Whoever drives it asks when something happens next, and lets that happen."""

    def __init__(self, speed: Speed, cache_blocks: int) -> None:
        self._speed = speed
        self._room = cache_blocks
        self._cache: OrderedDict[int, None] = OrderedDict()
        self._queue: deque[Job] = deque()
        self._reading: Job | None = None
        self._read_at = 0.0
        self._making: list[tuple[float, int, Job]] = []
        self._held = 0  # tokens of prompts that are read, or whose answers are made
        self._counts = dict.fromkeys(("prompt_tokens", "generation_tokens", "requests", *_TIMES), 0.0)
        self._made = 0.0  # tokens that an answer would have which was there from the start
        self._made_at = 0.0

    @property
    def next_at(self) -> float:
        """When something happens."""
        read = self._read_at if self._reading is not None else float("inf")
        return min(read, self._ends_at())

    def give(self, job: Job, now: float) -> None:
        """One more."""
        self._queue.append(job)
        if self._reading is None:
            self._read_next(now)

    def says(self, now: float) -> EngineLoad:
        """What its metrics would, as vLLM's do."""
        busy = len(self._making) + (self._reading is not None)
        size = self._room * MOONCAKE_BLOCK_TOKENS
        return EngineLoad(
            at=now,
            running=float(busy),
            waiting=float(len(self._queue)),
            kv_usage=min(1.0, self._held / size) if size else 1.0,
            kv_tokens=float(size),
            **self._counts,
        )

    def step(self) -> tuple[Job, bool]:
        """What happens at C{next_at}.

        @return: whose first token has come, or whose last (C{True}).
        """
        if self._reading is not None and self._read_at <= self._ends_at():
            return self._first_token(self._reading, self._read_at), False
        return self._last_token(self._ends_at()), True

    def _read_next(self, now: float) -> None:
        if not self._queue:
            self._reading = None
            return
        self._reading = job = self._queue.popleft()
        self._held += job.arrival.input_tokens
        self._count("queue", now - job.given)
        prompt, blocks = job.arrival.prompt, 0
        for hash in prompt.hashes:
            if hash not in self._cache:
                break
            blocks += 1
        tokens = job.arrival.input_tokens
        whole = prompt.length or 1
        job.cached = min(tokens - 1, tokens * prompt.covered(blocks) // whole) if blocks else 0
        took = (tokens - job.cached) / self._speed.prefill
        self._read_at = now + took
        self._count("prefill", took)

    def _first_token(self, job: Job, now: float) -> Job:
        for hash in reversed(job.arrival.prompt.hashes):
            self._cache[hash] = None
            self._cache.move_to_end(hash)
        while len(self._cache) > self._room:
            self._cache.popitem(last=False)
        job.first = now
        self._make_until(now)
        heapq.heappush(self._making, (self._made + job.arrival.output_tokens - 1, job.number, job))
        self._read_next(now)
        return job

    def _last_token(self, now: float) -> Job:
        self._make_until(now)
        _, _, job = heapq.heappop(self._making)
        job.ended = now
        arrival, counts = job.arrival, self._counts
        self._held -= arrival.input_tokens
        self._count("decode", now - job.first)
        counts["prompt_tokens"] += arrival.input_tokens
        counts["generation_tokens"] += arrival.output_tokens
        counts["requests"] += 1
        return job

    def _count(self, what: str, seconds: float) -> None:
        self._counts[f"{what}_s"] += seconds
        self._counts[f"{what}_n"] += 1

    def _ends_at(self) -> float:
        if not self._making:
            return float("inf")
        return self._made_at + max(0.0, self._making[0][0] - self._made) * self._token_s()

    def _make_until(self, now: float) -> None:
        if self._making:
            self._made += (now - self._made_at) / self._token_s()
        self._made_at = now

    def _token_s(self) -> float:
        return self._speed.token_s + self._speed.token_beside_s * (len(self._making) - 1)
