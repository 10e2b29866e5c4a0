"""C{least-latency}: the replica that has been answering fastest, its queue, its prompts and its answers taken together.

Engines that say how long they took are believed, prompts and answers made equally long so that a replica with short
ones does not seem fast.  Where some candidate's engine does not say, all are judged by what we saw of them ourselves.
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass
from typing import Final

from aibrix_twisted.domain.engine_load import EngineLoad
from aibrix_twisted.domain.replica import Replica, ReplicaLoad
from aibrix_twisted.policy.ask import Ask
from aibrix_twisted.policy.choice import Usage
from aibrix_twisted.policy.least_loaded import loads_of
from aibrix_twisted.policy.policy import kept
from aibrix_twisted.policy.scorer import UNKNOWN, Scorer

#: Tokens of a request where no candidate says how many its requests have.
GUESSED_PROMPT: Final = 10.0
GUESSED_ANSWER: Final = 100.0

#: What the newest of our own measurements counts for.
_NEWEST: Final = 0.2


@dataclass(slots=True)
class Times:
    """What one engine's requests took, each on average.

    @ivar prompt: tokens; C{answer} too; 0 where it does not say.
    """

    queue_s: float
    prefill_s: float
    decode_s: float
    prompt: float
    answer: float


def expected(times: Sequence[Times]) -> list[float]:
    """How long a request of the usual length would take at each, in seconds."""
    prompts = [one.prompt for one in times if one.prompt > 0]
    answers = [one.answer for one in times if one.answer > 0]
    prompt = sum(prompts) / len(prompts) if prompts else GUESSED_PROMPT
    answer = sum(answers) / len(answers) if answers else GUESSED_ANSWER
    return [
        one.queue_s + one.prefill_s / (one.prompt or prompt) * prompt + one.decode_s / (one.answer or answer) * answer
        for one in times
    ]


class LeastLatency(Scorer):
    """By engines' own times within the last minute; else by ours."""

    __slots__ = ("_seen", "_told")

    name = "least-latency"
    learns = True

    def __init__(self) -> None:
        self._seen: dict[str, float] = {}
        self._told: dict[str, tuple[EngineLoad, Times | None]] = {}

    def scores(self, candidates: Sequence[Replica], ask: Ask, now: float) -> Sequence[float]:
        """Seconds for each, times what it has in flight: what took how long is known only when it is over, and until
        then everything would go to one.
        """
        seconds = self._seconds(candidates, now)
        return [one * (1.0 + load) for one, load in zip(seconds, loads_of(candidates), strict=True)]

    def _seconds(self, candidates: Sequence[Replica], now: float) -> Sequence[float]:
        times = [self._times(replica, now) for replica in candidates]
        told = [one for one in times if one is not None]
        if len(told) == len(times):
            return expected(told)
        seen = [self._seen.get(replica.name) for replica in candidates]
        fastest = min([one for one in seen if one is not None], default=UNKNOWN)
        return [fastest if one is None else one for one in seen]  # who was never tried is to be

    def _times(self, replica: Replica, now: float) -> Times | None:
        """Worked out once a reading."""
        engine = replica.load.fresh_engine(now)
        if engine is None:
            return None
        told = self._told.get(replica.name)
        if told is None or told[0] is not engine:
            told = self._told[replica.name] = (engine, _times_of(replica.load, engine))
        return told[1]

    def forget_all_but(self, names: Set[str]) -> None:
        """Of replicas that are gone."""
        self._seen, self._told = kept(self._seen, names), kept(self._told, names)

    def chosen(self, replica: Replica, ask: Ask, now: float) -> tuple[str, float]:
        """Begin to measure."""
        return replica.name, now

    def ended(self, memo: tuple[str, float], now: float, *, well: bool, usage: Usage | None) -> None:
        """It took so long."""
        name, began = memo
        if well:
            before = self._seen.get(name, now - began)
            self._seen[name] = before + _NEWEST * (now - began - before)


def _times_of(load: ReplicaLoad, engine: EngineLoad) -> Times | None:
    queue, prefill, decode = (_mean(load, engine, of) for of in ("queue", "prefill", "decode"))
    if queue is None or prefill is None or decode is None:
        return None
    requests = load.trend.gained("requests")
    prompt, answer = (
        (load.trend.gained(name) or 0.0) / requests if requests else 0.0
        for name in ("prompt_tokens", "generation_tokens")
    )
    return Times(queue, prefill, decode, prompt, answer)


def _mean(load: ReplicaLoad, engine: EngineLoad, of: str) -> float | None:
    """Within the window; where nothing ended in it, since the engine started; nothing at all took no time."""
    recent = load.trend.mean(f"{of}_s", f"{of}_n")
    if recent is not None:
        return recent
    total, count = getattr(engine, f"{of}_s"), getattr(engine, f"{of}_n")
    if total is None or count is None:
        return None
    return total / count if count else 0.0
