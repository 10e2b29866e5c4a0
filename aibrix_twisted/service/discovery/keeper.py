"""Keeps the fleet: replicas from the settings, what they say of themselves, and a new snapshot when that changes."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from typing import Any

from aibrix_twisted.domain.fleet import Fleet
from aibrix_twisted.domain.replica import Replica
from aibrix_twisted.domain.settings import ReplicaSettings, Settings
from aibrix_twisted.service.discovery.catalogue import Catalogue
from aibrix_twisted.service.discovery.models import ModelAsker
from aibrix_twisted.service.discovery.static import replica_of
from aibrix_twisted.wire.models import Entry, engine_of


class FleetKeeper:
    """Publishes a L{Fleet} and its L{Catalogue} whenever either changes."""

    def __init__(self, reactor: Any, publish: Callable[[Fleet, Catalogue], None]) -> None:
        self._reactor = reactor
        self._publish = publish
        self._kept: dict[str, tuple[ReplicaSettings, Replica, ModelAsker]] = {}
        self._entries: dict[str, Iterable[Entry]] = {}
        self._aliases: dict[str, str] = {}
        self._running = False

    def configure(self, settings: Settings) -> None:
        """Take these replicas and aliases from now on.  What is under way on others goes on."""
        old, self._kept = self._kept, {}
        for wanted in settings.replica:
            before = old.get(wanted.name)
            if before is not None and before[0] == wanted:
                self._kept[wanted.name] = old.pop(wanted.name)
            else:
                self._kept[wanted.name] = self._make(wanted, before[1] if before is not None else None)
        for _, replica, asker in old.values():
            asker.stop()
            if replica.name not in self._kept:
                self._entries.pop(replica.name, None)
        self._aliases = {alias: model.name for model in settings.model for alias in model.aliases}
        self._renew()

    def start(self) -> None:
        """Ask them."""
        self._running = True
        for _, _, asker in tuple(self._kept.values()):
            asker.start()

    def stop(self) -> None:
        """Ask no more."""
        self._running = False
        for _, _, asker in self._kept.values():
            asker.stop()

    def _make(self, wanted: ReplicaSettings, before: Replica | None) -> tuple[ReplicaSettings, Replica, ModelAsker]:
        """A replica; what is known of it, and what is under way there, survives a change of its settings."""
        replica = replica_of(wanted)
        if before is not None and before.url == replica.url:
            replica = dataclasses.replace(
                replica,
                load=before.load,
                seen_done=before.seen_done,
                engine=replica.engine or before.engine,
                models=before.models if replica.models is None else replica.models,
            )
        asker = ModelAsker(self._reactor, replica, self._answered)
        if self._running:
            asker.start()
        return wanted, replica, asker

    def _answered(self, replica: Replica, entries: list[Entry]) -> None:
        kept = self._kept.get(replica.name)
        if kept is None or kept[1] is not replica:
            return
        wanted = kept[0]
        engine = wanted.engine or engine_of(entries)
        models = wanted.models or tuple(dict.fromkeys(entry["id"] for entry in entries))
        if (replica.engine, replica.models, self._entries.get(replica.name)) != (engine, models, entries):
            replica.engine, replica.models = engine, models
            self._entries[replica.name] = entries
            self._renew()

    def _renew(self) -> None:
        fleet = Fleet.of([replica for _, replica, _ in self._kept.values()], self._aliases)
        self._publish(fleet, Catalogue(fleet, self._entries))
