"""What a worker knows of the others, and what it shows them.

======================  =======================================  ==============================================
what                    how                                      how old it may be
======================  =======================================  ==============================================
in flight at replicas   numbers in shared memory                 a millisecond
breakers, by hand       a message, where something has changed   a tenth of a second
replicas by the API     a message for each change                that message's way
counters, gauges        a document, once a second                a second, or fifty times what it takes to write
======================  =======================================  ==============================================

When a process is gone, what it had in flight is gone with it; what it had counted goes to the one that has its index.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final, Protocol

from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from aibrix_twisted.domain.fleet import Fleet
from aibrix_twisted.domain.replica import Replica
from aibrix_twisted.service.admin.stats_shapes import Facts
from aibrix_twisted.service.owned import log_failure_of
from aibrix_twisted.service.telemetry.recent import Counts, Key
from aibrix_twisted.service.workers.board import Board
from aibrix_twisted.service.workers.merged import Dumped, counts_of, dumped, merged, summed
from aibrix_twisted.service.workers.snapshots import read_snapshot, write_snapshot

_log = Logger()

#: The board is not looked at more often: a busy worker decides a thousand times a second.
LOOK_S: Final = 0.001

#: How often it is looked for verdicts that have changed.
VERDICTS_S: Final = 0.1

#: How often the numbers are written down, at most.
SHOW_S: Final = 1.0

#: And so much less often than they take to write.
_SHARE: Final = 50

#: Processes before the one before us, of which it is known whose counts theirs are in.
_REMEMBERED: Final = 1000

Tell = Callable[[dict[str, Any]], None]


class Shown(Protocol):
    """The gateway of this process, as the others see it."""

    @property
    def fleet(self) -> Fleet:
        """The fleet as it is now."""
        ...

    def metrics_now(self) -> Iterable[Metric]:
        """All that it exposes, of itself alone."""
        ...

    def counts_now(self) -> Mapping[Key, Counts]:
        """What it has counted, as L{Recent} reads it."""
        ...

    def facts_now(self) -> Facts:
        """How it is."""
        ...


class Peers(Collector):
    """Of one worker."""

    def __init__(self, reactor: Any, shown: Shown, board: Board, snapshots: int, region: int, tell: Tell) -> None:
        """
        @param snapshots: the descriptor of the file.
        @param tell: says something to every other worker.
        """
        self._reactor = reactor
        self._shown = shown
        self._board = board
        self._snapshots = snapshots
        self._region = region
        self._tell = tell
        self._fleet: Fleet | None = None
        self._keyed: list[tuple[Replica, str]] = []
        self._alive: list[int] = []
        self._looked = float("-inf")
        self._next_show = float("-inf")
        self._said: dict[str, tuple[bool, bool, str, float]] = {}
        self._serial = secrets.token_hex(8)
        self._shows = 0
        self._left: dict[str, dict[str, Any]] = {}
        self._call = LoopingCall(self._turn)
        self._call.clock = reactor

    def start(self) -> None:
        """Begin to look, and to show."""
        log_failure_of(self._call.start(VERDICTS_S), "speaking with the other workers")

    # -- in flight -------------------------------------------------------------------------------------------

    def look(self, now: float) -> None:
        """Before a decision: what have the others in flight?"""
        fleet = self._shown.fleet
        if fleet is not self._fleet:
            self._met(fleet)
        elif now - self._looked < LOOK_S:
            return
        self._looked = now
        elsewhere, peers = self._board.elsewhere, self._alive
        for replica, key in self._keyed:
            replica.load.elsewhere = elsewhere(key, peers)

    def _met(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._keyed = [(replica, _key(replica)) for replica in fleet.replicas]
        self._board.forget({key for _, key in self._keyed})
        for replica, key in self._keyed:
            replica.load.cell = self._board.cell(key)
            replica.load.show()

    # -- verdicts --------------------------------------------------------------------------------------------

    def _turn(self) -> None:
        now = self._reactor.seconds()
        self._alive = self._board.peers()  # of one that has gone meanwhile there is nothing to be read
        self.look(now)
        self._tell_verdicts()
        if now >= self._next_show:
            self.show()
            self._next_show = now + max(SHOW_S, _SHARE * (self._reactor.seconds() - now))

    def _tell_verdicts(self) -> None:
        names = set()
        for replica in self._shown.fleet.replicas:
            said, key = replica.health.said, _key(replica)
            names.add(key)
            if self._said.get(key, _NOTHING_AGAINST) != said:
                self._said[key] = said
                self._tell({"verdict": [key, *said]})
        for key in self._said.keys() - names:
            del self._said[key]

    def told_verdict(self, key: str, said: tuple[bool, bool, str, float]) -> None:
        """Another worker found it so."""
        self._said[key] = said
        for replica in self._shown.fleet.replicas:
            if _key(replica) == key:
                replica.health.told(*said, self._reactor.seconds())

    def tell_all(self) -> None:
        """Somebody is new: say everything again."""
        for key, said in self._said.items():
            self._tell({"verdict": [key, *said]})

    def one_is_gone(self) -> None:
        """Perhaps it was the one that tried a breaker: whoever waits for it tries by himself."""
        for replica in self._shown.fleet.replicas:
            if replica.health.breaker.trying and not replica.load.in_flight:
                replica.health.breaker.forgot()

    # -- numbers ---------------------------------------------------------------------------------------------

    def show(self) -> None:
        """Write down what we have counted, and how it is here."""
        families = dumped(self._shown.metrics_now())
        if self._left:  # adding up takes as long as all the rest
            families = dumped(merged([families, *self._left_families()]))
        document = {
            "serial": self._serial,
            "absorbed": sorted(self._absorbed()),
            "families": families,
            "counts": _listed(summed([dict(self._shown.counts_now()), *self._left_counts()])),
            "facts": self._shown.facts_now(),
        }
        self._shows += 1
        if not write_snapshot(self._snapshots, self._region, self._shows, document):
            _log.error("there are too many metrics for the other workers to read")

    def absorb(self, region: int) -> None:
        """Its process is gone, and we have its place: what it had counted is ours now."""
        document = read_snapshot(self._snapshots, region)
        if document is not None and document["serial"] not in self._absorbed():
            for serial in document["absorbed"]:
                self._left.pop(serial, None)  # it has been added up there already
            self._left[document["serial"]] = {
                "absorbed": document["absorbed"][-_REMEMBERED:],
                "families": counts_of(document["families"]),
                "counts": _unlisted(document["counts"]),
            }
        self.show()

    def _absorbed(self) -> set[str]:
        """Whose counts are in ours."""
        return {*self._left, *(serial for left in self._left.values() for serial in left["absorbed"])}

    def _left_families(self) -> list[list[Dumped]]:
        return [left["families"] for left in self._left.values()]

    def _left_counts(self) -> list[dict[Key, Counts]]:
        return [left["counts"] for left in self._left.values()]

    def collect(self) -> Iterator[Metric]:
        """Of all workers."""
        others = [
            document["families"] if alive else counts_of(document["families"]) for alive, document in self._documents()
        ]
        yield from merged([dumped(self._shown.metrics_now()), *self._left_families(), *others])

    def counts(self) -> dict[Key, Counts]:
        """The same, of what is counted, as L{Recent} reads it; but for what this process counts itself."""
        return summed([*self._left_counts(), *(_unlisted(document["counts"]) for _, document in self._documents())])

    def facts(self) -> list[Facts]:
        """How it is at each of the others."""
        return [document["facts"] for alive, document in self._documents() if alive]

    def _documents(self) -> list[tuple[bool, dict[str, Any]]]:
        """Of the others: whether it lives, and what it wrote; none twice."""
        alive = set(self._board.peers())
        found = [(region in alive, read_snapshot(self._snapshots, region)) for region in self._board.others()]
        there = [(lives, document) for lives, document in found if document is not None]
        absorbed = {*self._absorbed(), *(serial for _, document in there for serial in document["absorbed"])}
        return [(lives, document) for lives, document in there if document["serial"] not in absorbed]


_NOTHING_AGAINST: Final = (False, False, "closed", 0.0)


def _key(replica: Replica) -> str:
    return f"{replica.name}\n{replica.url}"


def _listed(counts: Mapping[Key, Counts]) -> list[Any]:
    return [[list(key), list(values)] for key, values in counts.items()]


def _unlisted(counts: list[Any]) -> dict[Key, Counts]:
    return {tuple(key): tuple(values) for key, values in counts}
