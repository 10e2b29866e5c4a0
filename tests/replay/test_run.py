"""A policy over a trace."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.domain.replica import Replica
from aibrix_twisted.interfaces import Random
from aibrix_twisted.policy.ask import Ask
from aibrix_twisted.policy.choice import Choice, Usage
from aibrix_twisted.policy.policy import Policy
from aibrix_twisted.policy.round_robin import RoundRobin
from aibrix_twisted.replay.engine import Speed
from aibrix_twisted.replay.run import replay, replicas_named
from tests.replay.trace import arrival

SPEED = Speed(1000.0, 0.1, 0.0)


class Picky(Policy):
    """Gives each replica one at a time, and writes down what it is told."""

    __slots__ = ("told",)

    name = "random"

    def __init__(self) -> None:
        self.told: list[Any] = []

    def choose(self, candidates: Sequence[Replica], ask: Ask, now: float, rng: Random) -> Choice | None:
        free = [replica for replica in candidates if not replica.load.in_flight]
        return Choice(free[0], {}) if free else None

    def chosen(self, replica: Replica, ask: Ask, now: float) -> str:
        self.told.append(("chosen", replica.name, now))
        return replica.name

    def answered(self, memo: str, now: float) -> None:
        self.told.append(("answered", memo, now))

    def ended(self, memo: str, now: float, *, well: bool, usage: Usage | None) -> None:
        took = None if usage is None else (usage.input_tokens, usage.output_tokens)
        self.told.append(("ended", memo, now, well, took))


class ReplayTests(SynchronousTestCase):
    """In virtual time."""

    def test_what_the_policy_is_told(self) -> None:
        """As in the gateway: what was chosen, the first token, the end."""
        policy, replicas = Picky(), replicas_named(1)
        replay([arrival(0.0, tokens=1000, answer=11)], policy, replicas, SPEED, 9, random.Random(1))
        self.assertEqual(
            policy.told,
            [("chosen", "r0", 0.0), ("answered", "r0", 1.0), ("ended", "r0", 2.0, True, (1000, 11))],
        )
        self.assertEqual(replicas[0].load.in_flight, 0)

    def test_one_that_would_rather_wait(self) -> None:
        """Is asked again when something ends, in the order of the trace."""
        arrivals = [arrival(0.0, tokens=1000), arrival(0.1, tokens=1000), arrival(0.2, tokens=1000)]
        jobs = replay(arrivals, Picky(), replicas_named(2), SPEED, 9, random.Random(1))
        self.assertEqual([round(job.first, 6) for job in jobs], [1.0, 1.1, 2.0])
        self.assertEqual([job.place for job in jobs], [0, 1, 0])

    def test_pace(self) -> None:
        """The same requests in half the time; each is told of."""
        counted: list[int] = []
        arrivals = [arrival(float(second), tokens=100) for second in range(10)]
        jobs = replay(
            arrivals, RoundRobin(), replicas_named(2), SPEED, 9, random.Random(1), pace=2.0, progress=counted.append
        )
        self.assertEqual([job.given for job in jobs], [second / 2 for second in range(10)])
        self.assertEqual([job.place for job in jobs], [0, 1] * 5)
        self.assertEqual(sum(counted), 10)

    def test_engines_are_asked(self) -> None:
        """About once a second, as the gateway asks them."""
        replicas = replicas_named(1)
        arrivals = [arrival(second / 2, tokens=100, answer=11) for second in range(10)]
        replay(arrivals, RoundRobin(), replicas, SPEED, 9, random.Random(1))
        engine = replicas[0].load.engine
        assert engine is not None
        self.assertEqual((engine.at, engine.requests), (4.0, 6.0))
