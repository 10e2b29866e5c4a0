"""One look into DNS: several questions, and what the looks before had for those that are not answered now."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any, Final

from twisted.internet import defer
from twisted.internet.defer import CancelledError, Deferred, DeferredList, DeferredSemaphore
from twisted.internet.interfaces import IReactorTime
from twisted.names import dns
from twisted.names.error import DNSNameError, DNSQueryRefusedError, DNSServerError
from twisted.python.failure import Failure

from aibrix_twisted.domain.dns_names import dns_name

#: So many answers in a row must say that there is nothing before it is believed.  A resolver that restarts, or whose
#: zone is being loaded, says so for a moment of names that are well; whoever believes it has no replicas left.
EMPTY_ANSWERS: Final = 3

#: Questions at once: each has a socket.
AT_ONCE: Final = 16

#: Aliases of aliases, where each has to be asked for.
MAX_ALIASES: Final = 8

#: For a question: all servers, and TCP.
PATIENCE_S: Final = 15.0

_METHODS: Final = {dns.A: "lookupAddress", dns.AAAA: "lookupIPV6Address", dns.SRV: "lookupService"}
_WORDS: Final = {dns.A: "A", dns.AAAA: "AAAA", dns.SRV: "SRV"}

#: A name and a type of record.
Key = tuple[bytes, int]


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a question.

    @ivar records: the last answer's; C{None}: there was none yet.
    @ivar empties: answers in a row since then that had no records.
    """

    records: tuple[Any, ...] | None = None
    empties: int = 0

    def empty(self) -> Known:
        """After one more of those."""
        empties = self.empties + 1
        return Known(() if empties >= EMPTY_ANSWERS else self.records, empties)


@dataclass(frozen=True, slots=True)
class _Answer:
    """Also one without records.

    @ivar ttl: seconds; infinite without records.
    @ivar extra: the additional section.
    @ivar why: there are none; where the server says more than that.
    """

    records: tuple[Any, ...] = ()
    ttl: float = math.inf
    extra: Sequence[Any] = ()
    why: str = ""


@dataclass(frozen=True, slots=True)
class _Silence:
    """No answer, or one that says nothing of the name."""

    why: str


@dataclass(frozen=True, slots=True)
class Service:
    """An SRV record.

    @ivar priority: the lowest comes first.
    @ivar weight: of all of the same priority.
    """

    priority: int
    weight: int
    port: int
    target: bytes


class Look:
    """Asks, follows aliases, and remembers.

    @ivar known: for the next look.
    @ivar ttl: seconds for which everything that was used holds; infinite where that is nothing.
    @ivar failed: a question got no answer.
    """

    def __init__(self, resolver: Any, clock: IReactorTime, before: Mapping[Key, Known]) -> None:
        """
        @param resolver: an L{IResolver<twisted.internet.interfaces.IResolver>}.
        @param before: what is known from the last look.
        """
        self.known: dict[Key, Known] = {}
        self.ttl = math.inf
        self.failed = False
        self._problems: dict[bytes, str] = {}
        self._resolver = resolver
        self._clock = clock
        self._before = before
        self._door = DeferredSemaphore(AT_ONCE)
        self._over = False

    @property
    def problems(self) -> tuple[str, ...]:
        """In words; at most one a name."""
        return tuple(self._problems.values())

    @property
    def certain(self) -> bool:
        """Whether every question has its answer, from now or from before: only then may "nothing" be believed."""
        return all(known.records is not None for known in self.known.values())

    def end(self) -> None:
        """Ask nothing more."""
        self._over = True

    async def addresses(self, names: Iterable[bytes], extra: Sequence[Any] = ()) -> dict[bytes, list[str]]:
        """The addresses of each of these names, in order, IPv4 first.

        @param extra: records that came with another answer; a name that has an address there is not asked for.
        """
        names = tuple(dict.fromkeys(names))
        asked: list[Key] = []
        for name in names:
            keys = (name, dns.A), (name, dns.AAAA)
            brought = {key: answer for key in keys if (answer := _followed(*key, extra)[1]).records}
            for key, answer in brought.items():
                self._learn(key, answer)
            if not brought:
                asked += keys
        said = await DeferredList([Deferred.fromCoroutine(self._ask(*key)) for key in asked], fireOnOneErrback=True)
        for key, (_, answered) in zip(asked, said, strict=True):
            self._learn(key, answered)
        return {name: self._addresses_of(name) for name in names}

    async def services(self, name: bytes) -> tuple[list[Service], Sequence[Any]] | None:
        """The records of a service that can be used, and the records that came with them.

        @return: C{None}: nobody can tell now.  Then all that was known stays known.
        """
        said = await self._ask(name, dns.SRV)
        known = self._learn((name, dns.SRV), said)
        if isinstance(said, _Answer) and said.records:
            services = [self._service_of(record) for record in said.records]
            return [service for service in services if service is not None], said.extra
        self._say(name, f"{name.decode()} has no SRV record")
        if known.records == ():
            return [], ()
        self.known = {**self._before, **self.known}
        return None

    def _service_of(self, record: Any) -> Service | None:
        target = record.target.name
        if not target or not record.port:  # RFC 2782: without a target, the service is not to be had here
            return None
        try:
            return Service(record.priority, record.weight, record.port, dns_name(target.decode("latin-1")))
        except ValueError as error:
            self._say(target, f"found the target {target!r}, {error}")
            return None

    def _addresses_of(self, name: bytes) -> list[str]:
        found = []
        for kind in (dns.A, dns.AAAA):
            known = self.known.get((name, kind), Known())
            found += sorted({ip_address(record.address) for record in known.records or ()})
        if not found:
            self._say(name, f"{name.decode()} has no address")
        return [str(address) for address in found]

    def _learn(self, key: Key, said: _Answer | _Silence) -> Known:
        name, kind = key
        known = self._before.get(key, Known())
        if said.why:
            self._say(name, said.why)
        if isinstance(said, _Silence):
            self.failed = True
        elif said.records:
            known = Known(said.records)
            self.ttl = min(self.ttl, said.ttl)
        else:
            known = known.empty()
            if known.records:
                self._say(name, f"{name.decode()} has no {_WORDS[kind]} record any more")
        self.known[key] = known
        return known

    def _say(self, name: bytes, problem: str) -> None:
        self._problems.setdefault(name, problem)

    async def _ask(self, name: bytes, kind: int) -> _Answer | _Silence:
        asked, ttl = name, math.inf
        for _ in range(MAX_ALIASES):
            said = await self._door.run(self._send, asked, kind).addErrback(_unanswered, asked, kind)
            if not isinstance(said, tuple):
                return said
            answers, _, extra = said
            before = asked
            asked, answer = _followed(asked, kind, answers)
            ttl = min(ttl, answer.ttl)
            if answer.records:
                return _Answer(answer.records, ttl, extra)
            if asked == before:
                return _Answer()
        return _Silence(f"{name.decode()} is an alias of aliases without end")

    def _send(self, name: bytes, kind: int) -> Deferred[Any]:
        if self._over:
            raise CancelledError
        return getattr(self._resolver, _METHODS[kind])(name).addTimeout(PATIENCE_S, self._clock)


def _followed(name: bytes, kind: int, records: Iterable[Any]) -> tuple[bytes, _Answer]:
    """What these records say of a name.

    @return: the name at the end of its aliases, and what is there.  Without records the time is that of the aliases.
    """
    aliases: dict[bytes, Any] = {}
    found: dict[bytes, list[Any]] = {}
    for record in records:
        if record.cls == dns.IN and record.type == dns.CNAME:
            aliases[record.name.name.lower()] = record
        elif record.cls == dns.IN and record.type == kind:
            found.setdefault(record.name.name.lower(), []).append(record)
    ttl = math.inf
    while name not in found and name in aliases:
        alias = aliases.pop(name)
        name, ttl = alias.payload.name.name.lower(), min(ttl, alias.ttl)
    ends = found.get(name, ())
    return name, _Answer(tuple(record.payload for record in ends), min([ttl, *(record.ttl for record in ends)]))


def _unanswered(failure: Failure, name: bytes, kind: int) -> _Answer | _Silence:
    who = name.decode("latin-1")
    if failure.check(DNSNameError):
        return _Answer(why=f"{who} does not exist")
    if failure.check(defer.TimeoutError, TimeoutError):
        why = "no answer"
    elif failure.check(DNSServerError):
        why = "the server failed"
    elif failure.check(DNSQueryRefusedError):
        why = "the server refused to answer"
    else:
        why = failure.getErrorMessage() or type(failure.value).__name__
    return _Silence(f"{who} {_WORDS[kind]}: {why}")
