"""All that says which replicas there are, and all that is asked of them, put together."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aibrix_twisted.domain.fleet import Fleet
from aibrix_twisted.domain.settings import DnsSettings, Settings
from aibrix_twisted.interfaces import Random
from aibrix_twisted.service.discovery.catalogue import Catalogue
from aibrix_twisted.service.discovery.dns import DnsSource
from aibrix_twisted.service.discovery.file import FileSource
from aibrix_twisted.service.discovery.keeper import FleetKeeper
from aibrix_twisted.service.discovery.registry import Registry
from aibrix_twisted.service.discovery.source import ReplicaSource
from aibrix_twisted.service.health.fetch import Fetcher
from aibrix_twisted.service.health.scrape import IDLE_LIMIT_S, Scraper
from aibrix_twisted.service.tls.replicas import ReplicasTls


class Discovery:
    """The fleet's sources, its keeper, and the reading of its load.

    @ivar keeper: whom every source tells.
    @ivar registry: what is added while the gateway runs.
    @ivar scraper: reads the engines' own metrics.
    """

    def __init__(
        self,
        reactor: Any,
        publish: Callable[[Fleet, Catalogue], None],
        rng: Random,
        tls: ReplicasTls | None = None,
    ) -> None:
        """@param tls: how it is spoken to each replica."""
        tls = tls or ReplicasTls()
        self._reactor = reactor
        self._sources: list[tuple[str | DnsSettings, ReplicaSource]] = []
        self._running = False
        self.keeper = FleetKeeper(reactor, publish, Fetcher(reactor, tls=tls), rng)
        self.registry = Registry(reactor, self.keeper.says)
        self.scraper = Scraper(reactor, lambda: self.keeper.fleet.replicas, fetcher=Fetcher(reactor, IDLE_LIMIT_S, tls))

    def configure(self, settings: Settings) -> None:
        """Take these settings.  Sources that are still wanted go on as they are."""
        self.keeper.configure(settings)
        self.registry.configure(settings.discovery.state_file)
        old, self._sources = self._sources, []
        all_wanted: list[str | DnsSettings] = [*settings.discovery.files, *settings.discovery.dns]
        for wanted in all_wanted:
            kept = next((pair for pair in old if pair[0] == wanted), None)
            if kept is not None:
                old.remove(kept)
            self._sources.append(kept or (wanted, self._begun(wanted)))
        names = {source.name for _, source in self._sources}
        for _, source in old:
            source.stop()
            if source.name not in names:  # else what it said stands until its successor has said something
                self.keeper.silenced(source.name)

    def renew_tls(self) -> None:
        """Files of certificates may have changed: keep no connection that was made by the old ones."""
        self.scraper.hang_up()

    @property
    def problems(self) -> list[str]:
        """What is wrong with any source, for people."""
        said = [f"{source.name}: {source.problem}" for _, source in self._sources if source.problem]
        return said + ([self.registry.problem] if self.registry.problem else []) + self.keeper.doubles

    def start(self) -> None:
        """Begin to ask."""
        self._running = True
        self.keeper.start()
        self.registry.start()
        self.scraper.start()
        for _, source in self._sources:
            source.start()

    def stop(self) -> None:
        """Ask no more."""
        self._running = False
        for _, source in self._sources:
            source.stop()
        self.registry.stop()
        self.scraper.stop()
        self.keeper.stop()

    def _begun(self, wanted: str | DnsSettings) -> ReplicaSource:
        made: ReplicaSource

        def publish(replicas: Any) -> None:
            self.keeper.says(made.name, replicas)

        if isinstance(wanted, str):
            made = FileSource(wanted, publish, self._reactor)
        else:
            made = DnsSource(wanted, publish, self._reactor)
        if self._running:
            made.start()
        return made
