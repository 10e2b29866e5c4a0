"""Replicas from DNS: the addresses of a host, or the records of a service; asked for again when they are over.

What is not answered keeps its last answer, for as long as that takes.  That there is nothing must be said several times
in a row (L{aibrix_twisted.service.discovery.dns_look.EMPTY_ANSWERS}).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from aibrix_twisted.domain.dns_names import dns_name, name_server
from aibrix_twisted.domain.settings import DnsSettings, ReplicaSettings
from aibrix_twisted.service.discovery.dns_look import Key, Known, Look, Service
from aibrix_twisted.service.discovery.dns_resolver import NameResolver
from aibrix_twisted.service.discovery.source import Publish
from aibrix_twisted.service.owned import log_failure_of

_log = Logger()

#: After a look with a problem, within the bounds of the settings.  How long a negative answer holds is for caches to
#: know; whoever waits for the name to come back asks for it.
RETRY_S: Final = 5.0

#: The most that a replica's weight may be.
_MAX_WEIGHT: Final = 1000.0

#: Problems that are told one by one.
_MAX_SAID: Final = 5

_Replicas = tuple[ReplicaSettings, ...]


class DnsSource:
    """Publishes the replicas that DNS has under a name.

    @ivar name: for people; with the port, for a host may be named once for each engine that it runs.
    @ivar problem: why the list may not be what DNS has now; empty: it is.
    """

    def __init__(self, settings: DnsSettings, publish: Publish, reactor: Any, resolver: Any = None) -> None:
        """
        @param resolver: an L{IResolver<twisted.internet.interfaces.IResolver>}; C{None}: one for the settings' servers.
        @raise ValueError: the name or a server in the settings is none.
        """
        self.name = f"dns {settings.name}:{settings.port}" if settings.kind == "host" else f"dns {settings.name}"
        self.problem = ""
        self._settings = settings
        self._asked_name = dns_name(settings.name)
        self._servers = [name_server(server) for server in settings.servers]
        self._publish = publish
        self._reactor = reactor
        self._given_resolver = resolver
        self._resolver: NameResolver | None = None
        self._known: dict[Key, Known] = {}
        self._published: _Replicas | None = None
        self._look: Look | None = None
        self._looking: Deferred[_Replicas | None] | None = None
        self._next: IDelayedCall | None = None

    def start(self) -> None:
        """Ask now, and again."""
        if self._looking is None and self._next is None:
            self._begin()

    def stop(self) -> None:
        """Ask no more.  What was published is not taken back."""
        following, self._next = self._next, None
        if following is not None:
            following.cancel()
        look, self._look = self._look, None
        if look is not None:
            look.end()
        looking, self._looking = self._looking, None
        if looking is not None:
            looking.cancel()
        resolver, self._resolver = self._resolver, None
        if resolver is not None:
            resolver.close()

    def _begin(self) -> None:
        self._next = None
        self._looking = looking = Deferred.fromCoroutine(self._find())
        log_failure_of(looking.addBoth(self._found), f"asking {self.name}")

    async def _find(self) -> _Replicas | None:
        """Look; C{None}: nobody can tell now."""
        resolver = self._given_resolver
        if resolver is None:
            self._resolver = resolver = self._resolver or NameResolver(self._servers, self._reactor)
        self._look = look = Look(resolver, self._reactor, self._known)
        found = await (self._of_host(look) if self._settings.kind == "host" else self._of_service(look))
        self._known = look.known
        return found if found or look.certain else None

    async def _of_host(self, look: Look) -> _Replicas:
        name, port = self._asked_name, self._settings.port
        addresses = (await look.addresses([name]))[name]
        return tuple(self._replica(address, port, _authority(address, port), name) for address in addresses)

    async def _of_service(self, look: Look) -> _Replicas | None:
        """Those of the lowest priority that has any."""
        found = await look.services(self._asked_name)
        if found is None:
            return self._published
        services, extra = found
        for _, group in groupby(sorted(services, key=_order), key=lambda service: service.priority):
            offered = list(group)
            addresses = await look.addresses([service.target for service in offered], extra)
            replicas: dict[str, ReplicaSettings] = {}
            for service, weight in zip(offered, _weights(offered), strict=True):
                alone = len(addresses[service.target]) == 1
                for address in addresses[service.target]:
                    name = f"{service.target.decode()}:{service.port}" if alone else _authority(address, service.port)
                    replica = self._replica(address, service.port, name, service.target, weight)
                    replicas.setdefault(replica.url, replica)
            if replicas:
                return tuple(replicas.values())
        return ()

    def _replica(self, address: str, port: int, name: str, host: bytes, weight: float = 1.0) -> ReplicaSettings:
        """@param host: whose address it is."""
        template, tls = self._settings, self._settings.tls
        if tls is not None and not tls.server_name:
            tls = dataclasses.replace(tls, server_name=host.decode())
        return ReplicaSettings(
            url=f"{'http' if tls is None else 'https'}://{_authority(address, port)}",
            name=name,
            weight=weight,
            engine=template.engine,
            models=template.models,
            labels=template.labels,
            api_key_file=template.api_key_file,
            tls=tls,
        )

    def _found(self, result: _Replicas | Failure | None) -> None:
        if self._looking is None:  # stopped
            return
        self._looking = None
        look, self._look = self._look, None
        problems = look.problems if look is not None else ()
        if isinstance(result, Failure):
            problems = (*problems, result.getErrorMessage())
        if self._resolver is not None:
            self._resolver.hang_up()
            if look is not None and look.failed:
                self._resolver.next_server()
        wait = RETRY_S if problems or look is None else look.ttl
        bounded = min(max(wait, self._settings.min_ttl), self._settings.max_ttl)
        self._next = self._reactor.callLater(bounded, self._begin)
        self._say(problems)
        if result is not None and not isinstance(result, Failure) and result != self._published:
            self._published = result
            _log.info("{source} has {count} replicas", source=self.name, count=len(result))
            self._publish(result)

    def _say(self, problems: Sequence[str]) -> None:
        problem = "; ".join(problems[:_MAX_SAID])
        if len(problems) > _MAX_SAID:
            problem += f"; and {len(problems) - _MAX_SAID} more"
        if problem != self.problem:
            self.problem = problem
            if problem:
                _log.warn("{source}: {problem}", source=self.name, problem=problem)
            else:
                _log.info("{source} answers as it should", source=self.name)


def _authority(address: str, port: int) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def _order(service: Service) -> tuple[int, bytes, int]:
    return service.priority, service.target, service.port


def _weights(services: Iterable[Service]) -> list[float]:
    """Shares that a replica can have: those of the records, or 1 each where these say nothing.

    A weight of 0, in RFC 2782 a very small share, counts as 1; weights that are too big are made smaller together.
    """
    weights = [max(service.weight, 1) for service in services]
    if len(set(weights)) == 1:
        return [1.0] * len(weights)
    scale = min(1.0, _MAX_WEIGHT / max(weights))
    return [weight * scale for weight in weights]
