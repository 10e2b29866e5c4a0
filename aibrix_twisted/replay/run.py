"""One policy over one trace."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

from aibrix_twisted.domain.replica import Lease, Replica
from aibrix_twisted.interfaces import Random
from aibrix_twisted.policy.ask import Ask
from aibrix_twisted.policy.choice import Usage
from aibrix_twisted.policy.policy import Policy
from aibrix_twisted.replay.engine import Engine, Job, Speed
from aibrix_twisted.replay.trace import Arrival

#: How often engines' metrics are read, and for how long that counts, as in the gateway.
SCRAPE_S: Final = 1.0
STALE_S: Final = 3.0


class _Given(NamedTuple):
    """What is held of a job that is under way."""

    memo: Any
    lease: Lease


def replicas_named(count: int) -> list[Replica]:
    """So many, alike."""
    return [
        Replica(name=f"r{number}", url="", host="", port=1, authority=b"", models=("m",)) for number in range(count)
    ]


def replay(
    arrivals: Sequence[Arrival],
    policy: Policy,
    replicas: Sequence[Replica],
    speed: Speed,
    cache_blocks: int,
    rng: Random,
    *,
    pace: float = 1.0,
    progress: Callable[[int], None] = lambda count: None,
) -> list[Job]:
    """Let the policy choose for each request as it comes, and tell it what comes of it.

    @param pace: how much faster requests come than in the trace.
    @param progress: told of how many requests more have come.
    @return: what came of each, in the order of their arrival.
    """
    engines = [Engine(speed, cache_blocks) for _ in replicas]
    places = {replica.name: place for place, replica in enumerate(replicas)}
    given: dict[int, _Given] = {}
    jobs: list[Job] = []
    due: list[tuple[float, int]] = []
    waiting: deque[Job] = deque(maxlen=len(arrivals))

    def until(time: float) -> None:
        while due and due[0][0] <= time:
            at, place = heapq.heappop(due)
            engine = engines[place]
            if engine.next_at != at:
                continue  # something happened there in between, and was noted anew
            job, last = engine.step()
            held = given[job.number]
            if not last:
                policy.answered(held.memo, at)
            else:
                del given[job.number]
                held.lease.release()
                policy.ended(held.memo, at, well=True, usage=Usage(job.arrival.input_tokens, job.arrival.output_tokens))
                while waiting and give(waiting[0], at):
                    waiting.popleft()
            note(place)

    def note(place: int) -> None:
        at = engines[place].next_at
        if at < float("inf"):
            heapq.heappush(due, (at, place))

    def give(job: Job, now: float) -> bool:
        ask = Ask(job.arrival.prompt, max_tokens=job.arrival.output_tokens)
        choice = policy.choose(replicas, ask, now, rng)
        if choice is None:
            return False
        replica = choice.replica
        job.place = place = places[replica.name]
        given[job.number] = _Given(policy.chosen(replica, ask, now), replica.load.lease("m"))
        engines[place].give(job, now)
        note(place)
        return True

    asked = float("-inf")
    for number, arrival in enumerate(arrivals):
        now = arrival.at / pace
        until(now)
        if now - asked >= SCRAPE_S:
            asked = now
            for replica, engine in zip(replicas, engines, strict=True):
                replica.load.read(engine.says(now), STALE_S)
        job = Job(number, arrival, now)
        if waiting or not give(job, now):
            waiting.append(job)
        jobs.append(job)
        progress(1)
    until(float("inf"))
    return jobs
