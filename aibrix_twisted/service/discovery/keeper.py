"""Keeps the fleet: replicas from every source, what they say of themselves, and a new snapshot when that changes."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from typing import Any, Final

from twisted.logger import Logger

from aibrix_twisted.domain.fleet import Fleet
from aibrix_twisted.domain.health import ProbeResult
from aibrix_twisted.domain.replica import Replica
from aibrix_twisted.domain.settings import ReplicaSettings, Settings
from aibrix_twisted.interfaces import Random
from aibrix_twisted.service.discovery.catalogue import Catalogue
from aibrix_twisted.service.discovery.static import replica_of
from aibrix_twisted.service.health.fetch import Fetcher
from aibrix_twisted.service.health.probe import Prober, Verdict
from aibrix_twisted.wire.models import Entry, engine_of

_log = Logger()

#: The source whose word is in the settings themselves.
STATIC: Final = "static"


class FleetKeeper:
    """Publishes a L{Fleet} and its L{Catalogue} whenever either changes.

    @ivar fleet: the newest.
    @ivar doubles: replicas that are left out because another source has one of that name.
    """

    def __init__(
        self, reactor: Any, publish: Callable[[Fleet, Catalogue], None], fetcher: Fetcher, rng: Random
    ) -> None:
        self._reactor = reactor
        self._publish = publish
        self._prober = Prober(reactor, fetcher, self._probed, rng)
        self._settings = Settings()
        self._said: dict[str, tuple[ReplicaSettings, ...]] = {STATIC: ()}
        self._kept: dict[str, tuple[ReplicaSettings, Replica]] = {}
        self._entries: dict[str, Iterable[Entry]] = {}
        self._leaving: list[Replica] = []
        self.fleet = Fleet()
        self.doubles: list[str] = []

    # -- who there is ----------------------------------------------------------------------------------------

    def configure(self, settings: Settings) -> None:
        """Take these settings from now on.  What is under way on others goes on."""
        self._settings = settings
        self._said[STATIC] = settings.replica
        self._prober.configure(settings.health)
        now = self._reactor.seconds()
        for _, replica in self._kept.values():
            replica.health.configure(settings.health, settings.breaker, now)
        self._take()

    def says(self, source: str, replicas: tuple[ReplicaSettings, ...]) -> None:
        """A source names these, and no others."""
        if self._said.get(source) != replicas:
            self._said[source] = replicas
            self._take()

    def silenced(self, source: str) -> None:
        """There is no such source any more."""
        if self._said.pop(source, ()):
            self._take()

    def names(self, source: str) -> frozenset[str]:
        """The replicas that are of this source."""
        return frozenset(replica.name for _, replica in self._kept.values() if replica.source == source)

    def replica(self, name: str) -> Replica | None:
        """The one of this name."""
        kept = self._kept.get(name)
        return None if kept is None else kept[1]

    @property
    def leaving(self) -> list[Replica]:
        """Replicas that no source names any more, while something is under way at them."""
        self._leaving = [replica for replica in self._leaving if replica.load.in_flight]
        return list(self._leaving)

    def renew(self) -> None:
        """Publish what is known now."""
        self.fleet = Fleet.of([replica for _, replica in self._kept.values()], self._settings.model)
        self._publish(self.fleet, Catalogue(self.fleet, self._entries))

    def start(self) -> None:
        """Ask them."""
        self._prober.start()
        for _, replica in self._kept.values():
            self._prober.watch(replica)

    def stop(self) -> None:
        """Ask no more."""
        self._prober.stop()

    def suspect(self, replica: Replica) -> None:
        """Something went wrong there: see whether it is still there."""
        if replica is self.replica(replica.name):
            self._prober.kick(replica)

    def _take(self) -> None:
        """From what all sources say to the replicas that are kept.  A name belongs to the source that came first."""
        old, self._kept = self._kept, {}
        self.doubles = []
        for source, replicas in self._said.items():
            for wanted in replicas:
                if wanted.name in self._kept:
                    taken = self._kept[wanted.name][1].source
                    self.doubles.append(f"{source}: the replica {wanted.name!r} is one of {taken} already")
                    continue
                before = old.pop(wanted.name, None)
                if before is None or before[0] != wanted or before[1].source != source:
                    before = self._make(wanted, source, before)
                self._kept[wanted.name] = before
        for _, replica in old.values():
            self._forget(replica)
            self._entries.pop(replica.name, None)
        self.renew()

    def _make(
        self, wanted: ReplicaSettings, source: str, before: tuple[ReplicaSettings, Replica] | None
    ) -> tuple[ReplicaSettings, Replica]:
        """A replica; what is known of it, and what is under way there, survives a change of its settings."""
        replica = replica_of(wanted)
        replica.source = source
        if before is not None:
            known = before[1]
            if known.url != replica.url:
                self._forget(known)
            else:
                self._prober.forget(known)
                replica = dataclasses.replace(
                    replica,
                    load=known.load,
                    health=known.health,
                    seen_done=known.seen_done,
                    engine=replica.engine or known.engine,
                    models=known.models if replica.models is None else replica.models,
                )
        now = self._reactor.seconds()
        replica.health.configure(self._settings.health, self._settings.breaker, now)
        if before is None:
            replica.health.changed_at = now
        if self._prober.running:
            self._prober.watch(replica)
        return wanted, replica

    def _forget(self, replica: Replica) -> None:
        self._prober.forget(replica)
        self._leaving = [*self.leaving, replica]

    # -- what they say of themselves -------------------------------------------------------------------------

    def _probed(self, replica: Replica, verdict: Verdict, sent: float) -> None:
        """A probe is over, that was asked then."""
        kept = self._kept.get(replica.name)
        if kept is None or kept[1] is not replica:
            return
        now = self._reactor.seconds()
        before = _condition(replica)
        if verdict.why:
            replica.last_error = verdict.why
        if self._settings.health.probe_interval:
            in_flight = replica.load.in_flight
            replica.health.probed_with(verdict.result, verdict.why, now, in_flight=in_flight, sent=sent)
        changed = verdict.entries is not None and self._learn(kept[0], replica, verdict.entries)
        after = _condition(replica)
        if after != before:
            replica.health.changed_at = now
            self._say(replica, verdict)
        if changed or after != before:
            self.renew()

    def _learn(self, wanted: ReplicaSettings, replica: Replica, entries: list[Entry]) -> bool:
        """Take what it serves.

        @return: whether that is news.
        """
        engine = wanted.engine or engine_of(entries)
        models = wanted.models or tuple(dict.fromkeys(entry["id"] for entry in entries))
        if (replica.engine, replica.models, self._entries.get(replica.name)) == (engine, models, entries):
            return False
        if models != replica.models:
            _log.info("replica {name} serves {models}", name=replica.name, models=", ".join(models) or "no model")
        replica.engine, replica.models = engine, models
        self._entries[replica.name] = entries
        return True

    @staticmethod
    def _say(replica: Replica, verdict: Verdict) -> None:
        state, reason = replica.health.state(known=replica.models is not None), replica.health.reason
        if verdict.result is ProbeResult.PASSED:
            _log.info("replica {name} is {state}", name=replica.name, state=state.value)
        else:
            _log.warn(
                "replica {name} is {state}: {why}", name=replica.name, state=state.value, why=reason or verdict.why
            )


def _condition(replica: Replica) -> object:
    """What people are told when it changes, and who waits is called for."""
    return replica.health.state(known=replica.models is not None), replica.last_error and replica.models is None
