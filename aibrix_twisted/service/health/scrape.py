"""Reading each replica's own metrics, once an interval, in a steady trickle.

The gateway's own counts do not depend on it: where an engine says nothing, or what it said has grown stale, they are
what is known of its load.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final
from zlib import crc32

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from aibrix_twisted.domain.engine_load import EngineLoad
from aibrix_twisted.domain.replica import Replica
from aibrix_twisted.service.health.fetch import Fetcher
from aibrix_twisted.service.owned import log_failure_of
from aibrix_twisted.wire.engine_metrics import METRICS_PATHS, read

_log = Logger()

#: Below the five seconds after which engines close an idle connection, and above the usual interval.
IDLE_LIMIT_S: Final = 4

#: What an engine said counts for so many intervals: two scrapes may fail, and the third be under way.
FRESH_INTERVALS: Final = 3

#: An interval has so many turns, and each replica one of them.
TURNS: Final = 50

#: Of turns that are nobody's so many are passed over at once, and no more: a replica that is new is to be seen soon.
MOST_PASSED: Final = 10

#: So often in a row there is no page: the engine has none, and is asked again as seldom as this.
ABSENT_TIMES: Final = 2
ABSENT_INTERVAL_S: Final = 30.0

MAX_PAGE_BYTES: Final = 4 << 20

#: There is no such page, or the engine was not told to have one (llama-server says 501).
_ABSENT: Final = frozenset({404, 501})

#: What such an engine has to be told.
_WANTED: Final = {
    "sglang": "; it needs --enable-metrics",
    "llamacpp": "; it needs --metrics",
}


class _Watched:
    """What the scraper knows of one replica.

    @ivar engine: what it was taken for when it was last asked.
    @ivar absent: how often in a row there was no page.
    @ivar moved: how often the next of its paths was turned to.
    @ivar due: not to be asked before.
    @ivar asking: the scrape under way.
    @ivar problem: why nothing was read the last time; empty where something was.
    """

    __slots__ = ("absent", "asking", "due", "engine", "moved", "problem", "replica")

    def __init__(self, replica: Replica) -> None:
        self.replica = replica
        self.asking: Deferred[Any] | None = None
        self.taken_for(replica.engine)

    def taken_for(self, engine: str) -> None:
        """Begin anew: this is the engine."""
        self.engine = engine
        self.absent = self.moved = 0
        self.due = 0.0
        self.problem = ""

    def let_go(self) -> None:
        """Break off the scrape under way."""
        asking, self.asking = self.asking, None
        if asking is not None:
            asking.cancel()


class Scraper:
    """Reads the metrics of all replicas whose engine is known to have some.

    A replica's turn within the interval follows from its name, so that a thousand replicas are a steady trickle, and
    each keeps its pace whoever comes and goes.  What is read is in C{replica.load}, and fresh for L{FRESH_INTERVALS}
    intervals; a scrape that fails leaves it to grow stale.  What goes wrong is logged when it changes, not each time.
    """

    def __init__(
        self,
        reactor: Any,
        replicas: Callable[[], Sequence[Replica]],
        interval_s: float = 1.0,
        timeout_s: float = 1.0,
        *,
        fetcher: Fetcher | None = None,
    ) -> None:
        """
        @param replicas: all there are; another sequence whenever they have changed.
        @param fetcher: one that is shared; the scraper stops with its idle connections closed.
        """
        self._reactor = reactor
        self._replicas = replicas
        self._interval_s = interval_s
        self._timeout_s = timeout_s
        self._fetcher = fetcher or Fetcher(reactor, IDLE_LIMIT_S)
        self._dealt: Sequence[Replica] | None = None
        self._watched: dict[str, _Watched] = {}
        self._turns: list[list[_Watched]] = [[] for _ in range(TURNS)]
        self._turn = -1  # the one that was
        self._at = 0.0  # when it is this turn's time
        self._next: Any = None

    def start(self) -> None:
        """Begin."""
        self._at = self._reactor.seconds()
        self._wait(1)

    def stop(self) -> None:
        """Read no more, and let go of every connection."""
        if self._next is not None and self._next.active():
            self._next.cancel()
        for watched in self._watched.values():
            watched.let_go()
        self.hang_up()

    def hang_up(self) -> None:
        """Let go of the connections that are kept for the next time."""
        log_failure_of(self._fetcher.close(), "closing the connections to engines' metrics")

    def scrape_problem(self, name: str) -> str:
        """Why nothing was read of this replica the last time; empty where something was, or nothing is to be read."""
        watched = self._watched.get(name)
        return watched.problem if watched is not None else ""

    def _wait(self, turns: int) -> None:
        """For so many turns from the one that was; from now, where we are late."""
        pace, now = self._interval_s / TURNS, self._reactor.seconds()
        self._at = max(self._at + turns * pace, now)
        self._next = self._reactor.callLater(self._at - now, self._tick, (self._turn + turns) % TURNS)

    def _tick(self, turn: int) -> None:
        replicas = self._replicas()
        if replicas is not self._dealt:
            self._deal(replicas)
        self._turn = turn
        empty = 1
        while empty < MOST_PASSED and not self._turns[(turn + empty) % TURNS]:
            empty += 1
        self._wait(empty)
        for watched in self._turns[turn]:
            self._scrape(watched)

    def _deal(self, replicas: Sequence[Replica]) -> None:
        """Give each its turn.  One that was there before goes on where it was."""
        before, self._watched, self._dealt = self._watched, {}, replicas
        self._turns = [[] for _ in range(TURNS)]
        for replica in replicas:
            known = before.get(replica.name)
            watched = before.pop(replica.name) if known and known.replica is replica else _Watched(replica)
            self._watched[replica.name] = watched
            self._turns[crc32(replica.name.encode()) % TURNS].append(watched)
        for gone in before.values():
            gone.let_go()

    def _scrape(self, watched: _Watched) -> None:
        replica = watched.replica
        if watched.asking is not None:
            return
        if watched.engine != replica.engine:
            watched.taken_for(replica.engine)
        paths = METRICS_PATHS.get(replica.engine)
        if paths is None or self._reactor.seconds() < watched.due:
            return
        path = paths[watched.moved % len(paths)]
        watched.asking = asking = self._fetcher.get(replica, path, MAX_PAGE_BYTES, self._timeout_s)
        log_failure_of(asking.addBoth(self._asked, watched, asking), "reading an engine's metrics")

    def _asked(self, result: Any, watched: _Watched, asking: Deferred[Any]) -> None:
        if watched.asking is not asking:  # it was let go of
            return
        watched.asking = None
        if isinstance(result, Failure):
            self._note(watched, result.getErrorMessage())
        else:
            self._answered(watched, *result)

    def _answered(self, watched: _Watched, status: int, page: bytes) -> None:
        paths, now = METRICS_PATHS[watched.engine], self._reactor.seconds()
        figures = read(watched.engine, page) if status == 200 else None
        if figures is not None:
            watched.absent = 0
            watched.replica.load.read(EngineLoad(at=now, **figures), FRESH_INTERVALS * self._interval_s)
            self._note(watched, "")
        elif status in _ABSENT or (status == 200 and len(paths) > 1):
            watched.absent += 1
            watched.moved += 1
            if watched.absent >= ABSENT_TIMES:
                watched.due = now + ABSENT_INTERVAL_S
                places = b" or ".join(paths).decode()
                self._note(watched, f"it has no metrics at {places}{_WANTED.get(watched.engine, '')}")
        elif status == 200:
            self._note(watched, f"its metrics have none of the names of {watched.engine}")
        else:
            self._note(watched, f"its metrics come with status {status}")

    def _note(self, watched: _Watched, problem: str) -> None:
        before, watched.problem = watched.problem, problem
        name = watched.replica.name
        if problem and problem != before:
            _log.warn("replica {name} does not say how busy it is: {problem}", name=name, problem=problem)
        elif before and not problem:
            _log.info("replica {name} says how busy it is", name=name)
