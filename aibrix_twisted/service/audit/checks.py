"""What has to agree, and how it is put right where it does not.

Each check compares two accounts of the same thing that are kept apart: a replica's count of attempts and the attempts
themselves, the book of exchanges and those who run them, connections and the wheel that minds their deadlines.  It
runs in a turn of the reactor of its own, when nothing is half done, so that whatever disagrees is a defect; what is
put right here is counted and logged, and in a test is a failure.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from aibrix_twisted.domain.exchange import Exchange, Spooled
from aibrix_twisted.domain.replica import ReplicaLoad
from aibrix_twisted.service.exchange.exchanges import Exchanges
from aibrix_twisted.service.exchange.run import Run
from aibrix_twisted.service.exchange.settle import settle_orphan

#: An exchange may be later than its own bound by so much before it is taken for stuck.
LATE_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that disagrees.

    @ivar kind: one of L{REPAIRED<aibrix_twisted.service.telemetry.metrics.REPAIRED>}.
    @ivar what: for people.
    @ivar repair: puts it right.
    @ivar exchange: whose timeline tells more; C{None}: nobody's.
    """

    kind: str
    what: str
    repair: Callable[[], None]
    exchange: Exchange | None = None


def runs_of(exchanges: Exchanges) -> list[Run]:
    """All that run an exchange: those of clients that are there, and those that read on after theirs left."""
    works = {connection.work for connection in exchanges.live}
    return [run for run in works.union(exchanges.wheel.watched()) if isinstance(run, Run)]


def findings(exchanges: Exchanges) -> Iterator[Finding]:
    """Everything that disagrees now."""
    runs = runs_of(exchanges)
    yield from _leases(exchanges, runs)
    yield from _orphans(exchanges, runs)
    yield from _stuck(exchanges, runs)
    yield from _clients(exchanges)
    yield from _spools(exchanges)
    yield from _upstreams(exchanges)
    yield from _waiting(exchanges)


def _leases(exchanges: Exchanges, runs: list[Run]) -> Iterator[Finding]:
    """A replica counts as many attempts, of each model, as there are."""
    # By what counts, not by the replica: one whose settings have changed is another, and goes on with the same counts.
    there: dict[ReplicaLoad, Counter[str]] = {replica.load: Counter() for replica in exchanges.fleet.replicas}
    for run in runs:
        for attempt in run.attempts_under_way:
            if attempt.replica.load in there:  # else it was taken off the fleet, and nobody looks at its counts
                there[attempt.replica.load][attempt.record.model] += 1
    for replica in exchanges.fleet.replicas:
        load, models = replica.load, there[replica.load]
        counted = {model: count for model, count in load.by_model.items() if count}
        if counted != models or load.in_flight != models.total():
            what = f"replica {replica.name} counts {load.in_flight} attempts in flight; there are {models.total()}"
            yield Finding("lease", what, lambda load=load, models=models: load.recount(models))  # type: ignore[misc]


def _orphans(exchanges: Exchanges, runs: list[Run]) -> Iterator[Finding]:
    """Every exchange that is not over is run by somebody."""
    owned = {run.exchange for run in runs}
    owned.update(connection.work.exchange for connection in exchanges.live if connection.work is not None)
    for exchange in exchanges.book.current - owned:
        what = f"exchange {exchange.id} is run by nobody"
        yield Finding("exchange", what, lambda gone=exchange: settle_orphan(gone, exchanges), exchange)  # type: ignore[misc]


def _stuck(exchanges: Exchanges, runs: list[Run]) -> Iterator[Finding]:
    """Every exchange waits for something that will come, and none for longer than its bound."""
    now = exchanges.wheel.now
    for run in runs:
        why = run.stuck(now - LATE_S)
        if why:
            what = f"exchange {run.exchange.id} is stuck: {why}"
            yield Finding("stuck", what, lambda run=run: run.expire("it was stuck"), run.exchange)  # type: ignore[misc]


def _clients(exchanges: Exchanges) -> Iterator[Finding]:
    """Every client's connection has its deadlines minded, is in some state, and is counted for its address."""
    watched = exchanges.wheel.watched()
    for connection in exchanges.live:
        if connection not in watched:
            yield Finding("deadline", f"nobody minds the deadlines of client {connection.client}", connection.rejoin)
        if connection.stuck:
            what = f"client {connection.client} is owed an answer that nobody makes"
            yield Finding("stuck", what, connection.transport.abortConnection)
    addresses = Counter(connection.client for connection in exchanges.live)
    if addresses != Counter(exchanges.by_address):
        yield Finding("address", "clients are counted wrongly by address", lambda: exchanges.recount(addresses))


def _spools(exchanges: Exchanges) -> Iterator[Finding]:
    """Every file has a client that is fed from it, and its bytes are counted."""
    spools = exchanges.spools
    fed = {connection.spool for connection in exchanges.live}
    for spool in spools.open - fed:
        what = f"a file of {spool.size} bytes is kept for no client"
        yield Finding("spool", what, lambda spool=spool: spool.close(Spooled.LEFT))  # type: ignore[misc]
    there = sum(spool.size for spool in spools.open)
    if spools.bytes != there:
        yield Finding("spool", f"files are counted with {spools.bytes} bytes; they have {there}", spools.recount)


def _upstreams(exchanges: Exchanges) -> Iterator[Finding]:
    """Every connection to a replica has a request, or waits for one."""
    for connection in exchanges.pool.strays():
        host, port, _ = connection.key
        what = f"a connection to {host}:{port} has no request, and does not wait for one"
        yield Finding("connection", what, connection.abandon)
    for watched, what in ((exchanges.pool, "connections to replicas"), (exchanges.waiting, "the waiting room")):
        if watched not in exchanges.wheel.watched():
            yield Finding("deadline", f"nobody minds the deadlines of {what}", watched.rejoin)


def _waiting(exchanges: Exchanges) -> Iterator[Finding]:
    """The waiting room counts who is in it, and who is in it has an exchange that is not over."""
    room = exchanges.waiting.room
    for ticket in list(room):
        if not ticket.owner.waits_with(ticket):
            what = f"a place for model {ticket.model} is kept for nobody"
            yield Finding("waiting", what, lambda ticket=ticket: room.leave(ticket))  # type: ignore[misc]
    tickets = list(room)
    if room.count != len(tickets) or room.bytes != sum(ticket.size for ticket in tickets):
        what = f"{room.count} places of {room.bytes} bytes are taken in the waiting room; {len(tickets)} wait"
        yield Finding("waiting", what, room.recount)
