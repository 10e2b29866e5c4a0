"""What was counted in the last minute: the difference that each second made to the counters.

Once a second all counters are read, and of those that changed it is kept by how much.  Nothing is added to the data
path, and models and replicas that have nothing to do cost nothing to keep.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from operator import add, sub
from typing import Final, NamedTuple

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall

from aibrix_twisted.service.owned import log_failure_of
from aibrix_twisted.service.telemetry.buckets import DURATION_S, ITL_S, OWN_S, TTFT_S
from aibrix_twisted.service.telemetry.metrics import Metrics

INTERVAL_S: Final = 1.0

#: Seconds that are kept.
KEPT: Final = 60

#: What a count is of: its kind, and what tells it from others of the kind.
Key = tuple[str, ...]

#: A number has one; a distribution one for each bucket.
Counts = tuple[int, ...]

#: The buckets of each kind of distribution.
BOUNDS: Final[dict[str, Sequence[float]]] = {
    "ttft": TTFT_S,  # model
    "replica_ttft": TTFT_S,  # model, replica
    "itl": ITL_S,  # model, replica
    "tpot": ITL_S,  # model
    "duration": DURATION_S,  # model, route
    "queued": TTFT_S,  # model
    "own": OWN_S,
}


class Window(NamedTuple):
    """The last seconds.

    @ivar seconds: how many they were.
    @ivar counts: what was counted meanwhile; what is absent did not change.
    """

    seconds: float
    counts: dict[Key, Counts]

    def total(self, kind: str, *wanted: str | None) -> int:
        """Of all counts of this kind.

        @param wanted: what they are of, part by part; C{None}: whatever it is.
        """
        return sum(counts[0] for _, counts in self._of(kind, wanted))

    def by(self, part: int, kind: str, *wanted: str | None) -> dict[str, int]:
        """The same, by one of the parts of the key."""
        found: dict[str, int] = {}
        for key, counts in self._of(kind, wanted):
            found[key[part + 1]] = found.get(key[part + 1], 0) + counts[0]
        return found

    def distribution(self, kind: str, *wanted: str | None) -> Counts:
        """Of all of this kind, put together; empty: nothing was counted."""
        found: Counts = ()
        for _, counts in self._of(kind, wanted):
            found = tuple(map(add, found, counts)) if found else counts
        return found

    def _of(self, kind: str, wanted: tuple[str | None, ...]) -> Iterator[tuple[Key, Counts]]:
        for key, counts in self.counts.items():
            if key[0] == kind and all(part in (None, said) for part, said in zip(wanted, key[1:], strict=False)):
                yield key, counts


class Recent:
    """Read by whoever asks, at any time; the newest second is the last whole one.

    @ivar others: what other processes have counted, where they are to be in it.
    """

    def __init__(self, clock: IReactorTime, metrics: Metrics) -> None:
        self._clock = clock
        self._metrics = metrics
        self._before: dict[Key, Counts] = {}
        self._at = 0.0
        self._slots: deque[Window] = deque(maxlen=KEPT)
        self.others: Callable[[], dict[Key, Counts]] | None = None
        self._call = LoopingCall(self.look)
        self._call.clock = clock

    def start(self) -> None:
        """Begin to look."""
        self._before, self._at = self._read(), self._clock.seconds()
        log_failure_of(self._call.start(INTERVAL_S, now=False), "counting what was counted lately")

    def stop(self) -> None:
        """Look no more."""
        if self._call.running:
            self._call.stop()

    def look(self) -> None:
        """A second is over."""
        before, at = self._before, self._at
        self._before, self._at = self._read(), self._clock.seconds()
        changed = {key: _difference(counts, before.get(key)) for key, counts in self._before.items()
                   if counts != before.get(key)}  # fmt: skip
        self._slots.append(Window(self._at - at, changed))

    def _read(self) -> dict[Key, Counts]:
        found = counts_of(self._metrics)
        if self.others is not None:
            for key, counts in self.others().items():
                known = found.get(key)
                found[key] = counts if known is None else tuple(map(add, known, counts))
        return found

    def last(self, seconds: int) -> Window:
        """The last seconds, or as many as there were."""
        length, found = 0.0, dict[Key, Counts]()
        for slot in islice(reversed(self._slots), seconds):
            length += slot.seconds
            for key, counts in slot.counts.items():
                known = found.get(key)
                found[key] = counts if known is None else tuple(map(add, known, counts))
        return Window(length, found)


def _difference(counts: Counts, before: Counts | None) -> Counts:
    return counts if before is None else tuple(map(sub, counts, before))


def counts_of(metrics: Metrics) -> dict[Key, Counts]:
    """All that is counted, by kind and labels; what is still 0 is of no interest to anybody."""
    found: dict[Key, Counts] = {
        ("requests", model, outcome, str(status)): (count,)
        for (model, _, status, outcome), count in _summed(metrics).items()
    }
    found |= {("errors", error): (count,) for (error,), count in metrics.errors.items()}
    found |= {("attempts", replica, str(outcome)): (count,) for (replica, outcome), count in metrics.attempts.items()}
    found["own",] = metrics.own["total"].counts
    for model, meters in metrics.models.items():
        found["ttft", model] = meters.ttft.counts
        found["tpot", model] = meters.tpot.counts
        found["queued", model] = meters.waits.counts
        found |= {("duration", model, route): each.counts for route, each in meters.durations.items()}
        found |= {("tokens", model, kind): (count,) for kind, count in meters.tokens.items()}
    for (model, replica), at in metrics.pairs.items():
        found["replica_ttft", model, replica] = at.ttft.counts
        found["itl", model, replica] = at.itl.counts
    return found


def _summed(metrics: Metrics) -> dict[tuple[str, str, int, str], int]:
    """Requests of all routes together."""
    found: dict[tuple[str, str, int, str], int] = {}
    for (model, _, status, outcome), count in metrics.requests.items():
        key = (model, "", status, str(outcome))
        found[key] = found.get(key, 0) + count
    return found
