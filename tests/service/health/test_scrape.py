"""Reading engines' metrics: when, how often, and what becomes of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, TimeoutError, succeed
from twisted.internet.error import ConnectingCancelledError
from twisted.internet.task import Clock
from twisted.logger import LogLevel, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.domain.replica import Replica
from aibrix_twisted.service.health.scrape import (
    ABSENT_INTERVAL_S,
    FRESH_INTERVALS,
    MAX_PAGE_BYTES,
    TURNS,
    Scraper,
)
from tests.fakes import replica

PAGE = b"vllm:num_requests_running 5\n"
TICK = 1.0 / TURNS


class Fetching:
    """In the fetcher's place: the test answers, or all are answered at once alike.

    @ivar asked: when, whom, which path, and the answer to come.
    """

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.asked: list[tuple[float, str, bytes, Deferred[tuple[int, bytes]]]] = []
        self.at_once: tuple[int, bytes] | None = None
        self.cancelled_with: Exception = CancelledError()
        self.closed = 0

    def get(self, asked: Replica, path: bytes, max_bytes: int, timeout_s: float) -> Deferred[tuple[int, bytes]]:
        """A question."""
        assert (max_bytes, timeout_s) == (MAX_PAGE_BYTES, 0.5)
        answer: Deferred[tuple[int, bytes]]
        if self.at_once is not None:
            answer = succeed(self.at_once)
        else:
            answer = Deferred(lambda deferred: deferred.errback(self.cancelled_with))
        self.asked.append((self.clock.seconds(), asked.name, path, answer))
        return answer

    def close(self) -> Deferred[None]:
        """The scraper stops."""
        self.closed += 1
        return succeed(None)

    def paths(self) -> list[bytes]:
        """Those asked for since the last time."""
        paths = [path for _, _, path, _ in self.asked]
        self.asked.clear()
        return paths


class ScraperTests(SynchronousTestCase):
    """Without a network."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.fetching = Fetching(self.clock)
        self.replicas: Sequence[Replica] = (replica("gpu0", engine="vllm"),)
        self.scraper = Scraper(self.clock, lambda: self.replicas, 1.0, 0.5, fetcher=self.fetching)  # type: ignore[arg-type]
        self.logged: list[tuple[Any, str]] = []
        globalLogPublisher.addObserver(self.observe)
        self.addCleanup(globalLogPublisher.removeObserver, self.observe)
        self.scraper.start()

    def observe(self, event: Any) -> None:
        """Keep what the scraper logs."""
        if event.get("log_namespace", "").endswith("health.scrape"):
            self.logged.append((event["log_level"], event["log_format"].format(**event)))

    def pass_time(self, seconds: float) -> None:
        """Turn by turn."""
        self.clock.pump([TICK] * round(seconds * TURNS))

    def answer(self, status: int = 200, page: bytes = PAGE) -> None:
        """To the newest question."""
        self.fetching.asked[-1][3].callback((status, page))

    def test_what_is_read(self) -> None:
        """It is the replica's load, as of now, and so long fresh: three intervals."""
        gpu0 = self.replicas[0]
        self.pass_time(1.0)
        self.assertIsNone(gpu0.load.engine)
        lease = gpu0.load.lease("m")
        self.clock.advance(0.125)
        self.answer()
        at = self.clock.seconds()
        engine = gpu0.load.fresh_engine(at)
        assert engine is not None
        self.assertEqual((engine.running, engine.waiting, engine.at), (5.0, None, at))
        self.assertEqual(gpu0.load.since_read, 0)
        self.assertIsNotNone(gpu0.load.fresh_engine(at + FRESH_INTERVALS))
        self.assertIsNone(gpu0.load.fresh_engine(at + FRESH_INTERVALS + 0.1))
        self.assertEqual((self.scraper.scrape_problem("gpu0"), self.logged), ("", []))
        lease.release()

    def test_once_an_interval(self) -> None:
        """Each, at its own moment of it; one that has not answered is not asked again."""
        self.fetching.at_once = (200, PAGE)
        self.pass_time(10.0)
        times = [at for at, _, _, _ in self.fetching.asked]
        self.assertEqual(len(times), 10)
        for before, after in pairwise(times):
            self.assertLess(abs(after - before - 1.0), 1.5 * TICK)
        self.fetching.at_once = None
        self.fetching.asked.clear()
        self.pass_time(5.0)
        self.assertEqual(len(self.fetching.asked), 1)
        self.answer()
        self.pass_time(1.0)
        self.assertEqual(len(self.fetching.asked), 2)

    def test_a_thousand_are_a_steady_trickle(self) -> None:
        """All are asked once a second, and no turn has much more than its share; by their names, whoever else is there."""
        self.fetching.at_once = (200, PAGE)
        self.replicas = tuple(replica(f"10.0.{n // 250}.{n % 250}:8000", engine="vllm") for n in range(1000))
        self.pass_time(1.0)
        self.assertEqual(Counter(name for _, name, _, _ in self.fetching.asked), Counter(r.name for r in self.replicas))
        turns = Counter(round(at / TICK) for at, _, _, _ in self.fetching.asked)
        self.assertEqual(len(turns), TURNS)
        self.assertLess(max(turns.values()), 2 * 1000 // TURNS)
        moments = {name: at for at, name, _, _ in self.fetching.asked}
        self.fetching.asked.clear()
        self.replicas = self.replicas[::2]
        self.pass_time(1.0)
        self.assertEqual(len(self.fetching.asked), 500)
        for at, name, _, _ in self.fetching.asked:
            self.assertAlmostEqual(at - moments[name], 1.0)

    def test_who_is_asked(self) -> None:
        """Engines that have metrics, where they have them; one whose kind shows later is asked from then on."""
        self.replicas = tuple(replica(engine or "?", engine=engine) for engine in ("sglang", "trtllm", "openai", ""))
        self.pass_time(1.0)
        asked = {(name, path) for _, name, path, _ in self.fetching.asked}
        self.assertEqual(asked, {("sglang", b"/metrics"), ("trtllm", b"/prometheus/metrics")})
        self.replicas[-1].engine = "llamacpp"
        self.pass_time(1.0)
        self.assertEqual(self.fetching.asked[-1][1:3], ("?", b"/metrics"))

    def test_another_engine_at_the_same_place(self) -> None:
        """What was learned of the one before is forgotten."""
        self.fetching.at_once = (404, b"")
        self.pass_time(3.0)
        self.fetching.asked.clear()
        self.replicas[0].engine = "trtllm"
        self.fetching.at_once = (200, b"trtllm_num_requests_running 2\n")
        self.pass_time(1.0)
        self.assertEqual(self.fetching.paths(), [b"/prometheus/metrics"])
        self.assertEqual(self.scraper.scrape_problem("gpu0"), "")

    def test_failures(self) -> None:
        """What was read before stays and grows stale; what is wrong is known, and logged once, and its end, too."""
        gpu0 = self.replicas[0]
        self.pass_time(1.0)
        self.answer()
        before = gpu0.load.engine
        self.assertEqual(self.logged, [])
        for words, fails in (
            ("no whole answer", lambda: self.fetching.asked[-1][3].errback(TimeoutError("no whole answer"))),
            ("its metrics come with status 500", lambda: self.answer(500, b"oops")),
            ("its metrics have none of the names of vllm", lambda: self.answer(200, b"\x00\xff<html>")),
        ):
            for _ in range(2):
                self.pass_time(1.0)
                fails()
                self.assertEqual(self.scraper.scrape_problem("gpu0"), words)
            self.assertIs(gpu0.load.engine, before)
            self.assertEqual(self.logged, [(LogLevel.warn, f"replica gpu0 does not say how busy it is: {words}")])
            self.logged.clear()
        self.assertIsNone(gpu0.load.fresh_engine(self.clock.seconds()))
        for _ in range(2):
            self.pass_time(1.0)
            self.answer()
        self.assertEqual(self.logged, [(LogLevel.info, "replica gpu0 says how busy it is")])
        self.assertEqual(self.scraper.scrape_problem("gpu0"), "")
        self.assertIsNot(gpu0.load.engine, before)

    def test_no_page(self) -> None:
        """After two answers that there is none it is asked seldom, and is found when there is one."""
        for status in (404, 501):
            self.fetching.at_once = (status, b"")
            self.replicas = (replica("gpu0", engine="llamacpp"),)
            self.fetching.asked.clear()
            self.pass_time(ABSENT_INTERVAL_S)
            self.assertEqual(len(self.fetching.asked), 2)
            self.pass_time(3.0)
            self.assertEqual(len(self.fetching.asked), 3)
            said = self.scraper.scrape_problem("gpu0")
            self.assertEqual(said, "it has no metrics at /metrics; it needs --metrics")
        self.assertEqual(len(self.logged), 2)
        self.fetching.at_once = (200, b"llamacpp:requests_processing 1\n")
        self.pass_time(ABSENT_INTERVAL_S + 1)
        self.fetching.asked.clear()
        self.pass_time(3.0)
        self.assertEqual((len(self.fetching.asked), self.scraper.scrape_problem("gpu0")), (3, ""))

    def test_one_that_is_missing_for_a_moment(self) -> None:
        """A single 404 changes nothing."""
        self.pass_time(1.0)
        self.answer(404)
        self.pass_time(1.0)
        self.answer()
        self.pass_time(1.0)
        self.answer(404)
        self.pass_time(1.0)
        self.assertEqual((len(self.fetching.asked), self.logged), (4, []))

    def test_the_second_place(self) -> None:
        """TensorRT-LLM's page is looked for where it may be, too; its JSON there is none."""
        self.replicas = (replica("gpu0", engine="trtllm"),)
        for answers in ((404, b""), (200, b"trtllm_num_requests_running 2\n")):
            self.pass_time(1.0)
            self.answer(*answers)
        self.fetching.at_once = (200, b"trtllm_num_requests_running 2\n")
        self.pass_time(2.0)
        self.assertEqual(self.fetching.paths(), [b"/prometheus/metrics", b"/metrics", b"/metrics", b"/metrics"])
        self.fetching.at_once = (200, b'[{"gpuMemUsage":5}]')
        self.replicas = (replica("gpu0", engine="trtllm"),)
        self.pass_time(5.0)
        self.assertEqual(self.fetching.paths(), [b"/prometheus/metrics", b"/metrics"])
        said = "it has no metrics at /prometheus/metrics or /metrics"
        self.assertEqual(self.scraper.scrape_problem("gpu0"), said)

    def test_replicas_that_go(self) -> None:
        """They are asked no more, what was under way is nobody's, and nothing is remembered of them."""
        for error in (CancelledError(), ConnectingCancelledError(None)):  # as it is called before a connection is there
            self.fetching.cancelled_with = error
            self.replicas = (replica("gpu0", engine="vllm"), replica("gpu1", engine="vllm"))
            self.pass_time(1.0)
            self.fetching.asked.clear()
            self.replicas = self.replicas[1:]
            self.pass_time(1.0)
            self.assertEqual((self.fetching.asked, self.logged), ([], []), "gpu1 has not answered yet")
            self.assertEqual(self.scraper.scrape_problem("gpu0"), "")

    def test_stopped(self) -> None:
        """Nothing is asked from then on, and what was under way is broken off, without a word."""
        self.pass_time(1.0)
        self.scraper.stop()
        self.scraper.stop()
        self.pass_time(3.0)
        self.assertEqual((len(self.fetching.asked), self.fetching.closed, self.logged), (1, 2, []))
        self.assertEqual(self.clock.getDelayedCalls(), [])
