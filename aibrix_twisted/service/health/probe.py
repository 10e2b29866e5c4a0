"""Active probes: is each replica there and well, and which models does it serve?

Two questions, both GETs: C{/health}, of engines that answer it truthfully and cheaply, and C{/v1/models}.  Never a
request that makes an engine generate: SGLang's C{/health} does, so it is only asked for its models.
"""

from __future__ import annotations

import errno
import heapq
from collections.abc import Callable
from itertools import count
from typing import Any, Final, NamedTuple

from twisted.internet.defer import Deferred, TimeoutError
from twisted.internet.error import ConnectError
from twisted.internet.error import TimeoutError as ConnectTimedOut
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from aibrix_twisted.domain.health import ProbeResult
from aibrix_twisted.domain.replica import Replica
from aibrix_twisted.domain.settings import HealthSettings
from aibrix_twisted.interfaces import Random
from aibrix_twisted.service.health.fetch import Fetcher
from aibrix_twisted.service.owned import log_failure_of
from aibrix_twisted.wire.models import Entry, NoModelList, entries_of

_log = Logger()

#: How soon a replica is asked again that is down, or has not said yet what it serves.
SOON_S: Final = 1.0

TICK_S: Final = 0.1

#: Probes under way at once: a thousand replicas are not asked in one turn of the reactor.
MAX_AT_ONCE: Final = 256

MAX_LIST_BYTES: Final = 1 << 20

#: What keeps a connect from being made is our own: no descriptors, ports or memory are left.
_OUR_OWN: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.EADDRNOTAVAIL, errno.ENOBUFS, errno.ENOMEM})

#: Engines whose C{/health} says whether they can serve, and costs them nothing.
_WITH_HEALTH: Final = frozenset({"vllm", "trtllm", "llamacpp"})


class Verdict(NamedTuple):
    """What a probe found.

    @ivar why: what is wrong, for people; C{""} where nothing is.
    @ivar entries: the models that it lists; C{None} where it did not say.
    """

    result: ProbeResult
    why: str = ""
    entries: list[Entry] | None = None


#: Told of a replica what was found, and when it was asked.
Report = Callable[[Replica, Verdict, float], None]


class Prober:
    """Asks every replica that it watches, each for itself."""

    def __init__(self, reactor: Any, fetcher: Fetcher, report: Report, rng: Random) -> None:
        self._reactor = reactor
        self._fetcher = fetcher
        self._report = report
        self._rng = rng
        self._settings = HealthSettings()
        self._due: list[tuple[float, int, Replica]] = []
        self._order = count()
        self._watched: dict[Replica, int] = {}
        self._asking: dict[Replica, Deferred[Verdict]] = {}
        self._no_health_path: set[Replica] = set()
        self._call = LoopingCall(self._tick)
        self._call.clock = reactor

    @property
    def under_way(self) -> int:
        """Probes that wait for an answer."""
        return len(self._asking)

    @property
    def running(self) -> bool:
        """It has been started, and not stopped."""
        return bool(self._call.running)

    def configure(self, settings: HealthSettings) -> None:
        """Take these settings; where probing was off, or more seldom, all are asked now."""
        before, self._settings = self._settings.probe_interval, settings
        if not before or 0 < settings.probe_interval < before:
            for replica in tuple(self._watched):
                self.kick(replica)

    def start(self) -> None:
        """Begin to ask."""
        log_failure_of(self._call.start(TICK_S, now=True), "probing replicas")

    def stop(self) -> None:
        """Ask no more."""
        if self._call.running:
            self._call.stop()
        for replica in tuple(self._watched):
            self.forget(replica)

    def watch(self, replica: Replica) -> None:
        """Ask this one, too, as soon as may be."""
        self.kick(replica)

    def kick(self, replica: Replica) -> None:
        """Ask it now, whenever it would have been its turn: something may be wrong with it."""
        if replica not in self._asking:
            self._plan(replica, self._reactor.seconds())

    def forget(self, replica: Replica) -> None:
        """Ask it no more."""
        self._watched.pop(replica, None)
        self._no_health_path.discard(replica)
        asking = self._asking.pop(replica, None)
        if asking is not None:
            asking.cancel()

    # -- when ------------------------------------------------------------------------------------------------

    def _plan(self, replica: Replica, at: float) -> None:
        """Only the newest plan for a replica counts."""
        self._watched[replica] = order = next(self._order)
        heapq.heappush(self._due, (at, order, replica))

    def _tick(self) -> None:
        now = self._reactor.seconds()
        while self._due and self._due[0][0] <= now and len(self._asking) < MAX_AT_ONCE:
            _, order, replica = heapq.heappop(self._due)
            if self._watched.get(replica) == order:
                self._ask(replica)

    def _ask(self, replica: Replica) -> None:
        self._asking[replica] = asking = Deferred.fromCoroutine(self._probe(replica))
        log_failure_of(asking.addBoth(self._asked, replica, self._reactor.seconds()), "probing a replica")

    def _asked(self, result: Any, replica: Replica, sent: float) -> None:
        if self._asking.pop(replica, None) is None:
            return  # forgotten meanwhile: this is our own cancel
        verdict = _verdict_of(result) if isinstance(result, Failure) else result
        try:
            self._report(replica, verdict, sent)
        finally:
            self._plan_next(replica, passed=verdict.result is ProbeResult.PASSED)

    def _plan_next(self, replica: Replica, *, passed: bool) -> None:
        interval, now = self._settings.probe_interval, self._reactor.seconds()
        if replica not in self._watched:
            return
        if passed and replica.health.suspect:  # it was asked before it became so
            self._plan(replica, now)
            return
        if interval:
            soon = not passed or replica.health.down
        else:  # only until it has answered
            soon = not passed and not replica.engine
        if soon or replica.models is None:
            self._plan(replica, now + min(SOON_S, interval or SOON_S))
        elif interval:
            self._plan(replica, now + interval * (0.9 + 0.2 * self._rng.random()))

    # -- what ------------------------------------------------------------------------------------------------

    async def _probe(self, replica: Replica) -> Verdict:
        health = await self._health(replica) if replica.engine in _WITH_HEALTH else 0
        if health >= 500:
            return Verdict(ProbeResult.FAILED, f"GET /health: status {health}")
        status, body = await self._get(replica, b"/v1/models")
        if status != 200:
            if replica.models is not None and (
                status < 500 or (status == 500 and await self._is_well(replica, health))
            ):
                return Verdict(ProbeResult.PASSED)  # it lives, and what it serves is known
            return Verdict(ProbeResult.FAILED, f"GET /v1/models: status {status}")
        try:
            return Verdict(ProbeResult.PASSED, entries=entries_of(body))
        except NoModelList as error:
            return Verdict(ProbeResult.FAILED, f"GET /v1/models: {error}")

    async def _health(self, replica: Replica) -> int:
        """The status of its C{/health}; 0: there is none."""
        if replica in self._no_health_path:
            return 0
        status, _ = await self._get(replica, b"/health")
        if status in (404, 405, 501):
            self._no_health_path.add(replica)
            return 0
        return status

    async def _is_well(self, replica: Replica, health: int) -> bool:
        """Whether one that cannot list its models says that it is well all the same, as transformers serve does
        where it has no folder to look for models in."""
        if not health and replica.engine != "sglang":
            health = await self._health(replica)
        return health == 200

    def _get(self, replica: Replica, path: bytes) -> Deferred[tuple[int, bytes]]:
        return self._fetcher.get(replica, path, MAX_LIST_BYTES, self._settings.probe_timeout)


def _verdict_of(failure: Failure) -> Verdict:
    """What a request that got no answer says of the replica."""
    if failure.check(TimeoutError, ConnectTimedOut):
        return Verdict(ProbeResult.TIMED_OUT, "a probe was not answered in time")
    ours = getattr(failure.value, "osError", None) in _OUR_OWN
    if failure.check(ConnectError) and not ours:
        return Verdict(ProbeResult.REFUSED, failure.getErrorMessage())
    return Verdict(ProbeResult.FAILED, f"a probe failed: {failure.getErrorMessage()}")
