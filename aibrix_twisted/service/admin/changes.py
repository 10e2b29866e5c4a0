"""What has changed since one last looked: what readers of C{/api/events} are told.

Nobody tells this; it compares.  So the data path does nothing for it, however many look, and what is asked for here is
what is there anyway: the book, the fleet, a counter, a flag.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from aibrix_twisted import __version__
from aibrix_twisted.domain.exchange import Exchange
from aibrix_twisted.domain.replica import Replica
from aibrix_twisted.service.admin.event_shapes import Batch, DrainBegun, Hello, ReloadDone, ReplicaChange
from aibrix_twisted.service.admin.exchanges import request_of
from aibrix_twisted.service.admin.look import Seen, timestamp

#: Exchanges that are listed in a batch, of those that began and of those that ended; of more it is told how many.
LISTED: Final = 200

#: The name of an event, and its document.
Event = tuple[str, Any]


class Changes:
    """Of one gateway.  C{begin} is a first look, of which nothing comes; C{look} is each later one."""

    def __init__(self, seen: Seen) -> None:
        self._seen = seen
        self._known: set[Exchange] = set()
        self._ended = 0
        self._replicas: dict[str, tuple[str, str, float]] = {}
        self._reloads: dict[tuple[str], int] = {}
        self._draining = False

    def begin(self) -> None:
        """What there is now is known."""
        seen = self._seen
        self._known, self._ended = set(seen.book.current), seen.book.ended
        self._replicas = self._conditions()
        self._reloads, self._draining = dict(seen.metrics.reloads), seen.draining

    def forget(self) -> None:
        """Nobody looks: hold on to nothing."""
        self._known = set()

    def hello(self) -> Event:
        """How things are now."""
        seen = self._seen
        document: Hello = {
            "version": __version__,
            "now": timestamp(seen.wall()),
            "draining": seen.draining,
            "under_way": len(seen.book.current),
            "ended": seen.book.ended,
            "replicas": [
                {"name": name, "state": state, "reason": reason}
                for name, (state, reason, _) in self._conditions().items()
            ],
        }
        return "hello", document

    def look(self) -> list[Event]:
        """What has changed since the last look."""
        return [*self._of_replicas(), *self._of_the_gateway(), *self._of_exchanges()]

    def _of_exchanges(self) -> Iterator[Event]:
        book = self._seen.book
        over, ended = book.since(self._ended), book.ended - self._ended
        known, current = self._known, book.current
        begun = [*(exchange for exchange in over if exchange not in known), *(current - known)]
        # Of each that has ended, however long the list of them is kept, it is known whether it was there before.
        began = ended + len(current) - len(known)
        self._known, self._ended = set(current), book.ended
        if not (began or ended):
            return
        now, wall = self._seen.now, self._seen.wall()
        document: Batch = {
            "now": timestamp(wall),
            "under_way": len(current),
            "ended": book.ended,
            "begun": [request_of(exchange, now, wall) for exchange in begun[:LISTED]],
            "over": [request_of(exchange, now, wall) for exchange in over[-LISTED:]],
            "more": {"begun": began - min(len(begun), LISTED), "over": ended - min(len(over), LISTED)},
        }
        yield "requests", document

    def _of_replicas(self) -> Iterator[Event]:
        before, self._replicas = self._replicas, self._conditions()
        for name in dict.fromkeys((*before, *self._replicas)):
            old, new = before.get(name), self._replicas.get(name)
            if old == new:
                continue
            document: ReplicaChange = {
                "now": timestamp(self._seen.wall()),
                "name": name,
                "state": None if new is None else new[0],
                "reason": "" if new is None else new[1],
                "was": None if old is None else old[0],
            }
            yield "replica", document

    def _of_the_gateway(self) -> Iterator[Event]:
        seen, now = self._seen, timestamp(self._seen.wall())
        before, self._reloads = self._reloads, dict(seen.metrics.reloads)
        for (outcome,), count in self._reloads.items():
            for _ in range(count - before.get((outcome,), 0)):
                done: ReloadDone = {"now": now, "outcome": "taken" if outcome == "taken" else "refused"}
                yield "reload", done
        was, self._draining = self._draining, seen.draining
        if seen.draining and not was:
            begun: DrainBegun = {"now": now, "under_way": len(seen.book.current)}
            yield "drain", begun

    def _conditions(self) -> dict[str, tuple[str, str, float]]:
        return {replica.name: _condition(replica) for replica in self._seen.fleet.replicas}


def _condition(replica: Replica) -> tuple[str, str, float]:
    """State, reason, since when: one that came back between two looks is told of, too."""
    health = replica.health
    return health.state(known=replica.models is not None).value, health.reason, health.changed_at
