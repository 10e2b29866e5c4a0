"""A prober without a network, for its tests."""

from __future__ import annotations

import random

from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.domain.replica import Replica
from aibrix_twisted.domain.settings import HealthSettings
from aibrix_twisted.service.health.probe import MAX_LIST_BYTES, TICK_S, Prober, Verdict
from tests.fakes import replica

LIST = b'{"object": "list", "data": [{"id": "m", "owned_by": "vllm"}, {"id": ""}, {"no": "id"}]}'
ENTRIES = [{"id": "m", "owned_by": "vllm"}]
SETTINGS = HealthSettings(probe_interval=5.0, probe_timeout=2.0)


class Fetching:
    """In the fetcher's place: the test answers, or each path has its answer ready.

    @ivar asked: when, whom, which path, and the answer to come.
    @ivar ready: by path; what is none of them waits for the test.
    """

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.asked: list[tuple[float, str, bytes, Deferred[tuple[int, bytes]]]] = []
        self.ready: dict[bytes, tuple[int, bytes]] = {}
        self.cancelled = 0

    def get(self, asked: Replica, path: bytes, max_bytes: int, timeout_s: float) -> Deferred[tuple[int, bytes]]:
        """A question."""
        assert (max_bytes, timeout_s) == (MAX_LIST_BYTES, 2.0)
        answer: Deferred[tuple[int, bytes]] = Deferred(self.cancel)
        if path in self.ready:
            answer = succeed(self.ready[path])
        self.asked.append((self.clock.seconds(), asked.name, path, answer))
        return answer

    def cancel(self, answer: Deferred[tuple[int, bytes]]) -> None:
        """It is broken off."""
        self.cancelled += 1
        answer.errback(CancelledError())

    def paths(self) -> list[bytes]:
        """Those asked for since the last time."""
        paths = [path for _, _, path, _ in self.asked]
        self.asked.clear()
        return paths


class ProberTestCase(SynchronousTestCase):
    """A prober without a network, which has been started and watches nobody."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.fetching = Fetching(self.clock)
        self.reported: list[tuple[str, Verdict]] = []
        self.prober = Prober(self.clock, self.fetching, self.report, random.Random(1))  # type: ignore[arg-type]
        self.prober.configure(SETTINGS)
        self.prober.start()
        self.addCleanup(self.prober.stop)

    def report(self, asked: Replica, verdict: Verdict, sent: float) -> None:
        """From the prober."""
        self.reported.append((asked.name, verdict))

    def pass_time(self, seconds: float) -> None:
        """Tick by tick."""
        self.clock.pump([TICK_S] * round(seconds / TICK_S))

    def answer(self, status: int = 200, body: bytes = LIST) -> None:
        """To the newest question."""
        self.fetching.asked[-1][3].callback((status, body))

    def watched(self, name: str = "gpu0", models: tuple[str, ...] | None = ("m",), engine: str = "openai") -> Replica:
        """One that is watched, and has been asked."""
        found = replica(name, models, engine=engine)
        self.prober.watch(found)
        self.pass_time(TICK_S)
        return found

    @property
    def times(self) -> list[float]:
        """When somebody was asked."""
        return [at for at, _, _, _ in self.fetching.asked]

    @property
    def verdict(self) -> Verdict:
        """The newest."""
        return self.reported[-1][1]
