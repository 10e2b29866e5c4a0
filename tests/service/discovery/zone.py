"""A resolver in memory: what it has, what it was asked, and faults."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.names import dns
from twisted.names.error import DNSNameError

Answer = tuple[list[Any], list[Any], list[Any]]


def record(name: str, payload: Any, ttl: int = 60) -> Any:
    """One, as it is in an answer."""
    return dns.RRHeader(name, payload.TYPE, dns.IN, ttl, payload)


def a(name: str, address: str, ttl: int = 60) -> Any:
    """An address, of either kind."""
    payload = dns.Record_AAAA(address) if ":" in address else dns.Record_A(address)
    return record(name, payload, ttl)


def alias(name: str, target: str, ttl: int = 60) -> Any:
    """Another name for a name."""
    return record(name, dns.Record_CNAME(target), ttl)


def srv(target: str, port: int = 8000, *, priority: int = 0, weight: int = 0, ttl: int = 60) -> Any:
    """A record of C{_vllm._tcp.x}."""
    return record("_vllm._tcp.x", dns.Record_SRV(priority, weight, port, target), ttl)


class Zone:
    """Answers at once with the records that match; faults and waits by name.

    @ivar records: what there is; @ivar extra: what comes with every answer.
    @ivar faults: by name, or by name and type, the error that is answered; a Deferred is waited for.
    @ivar asked: each question, as C{"A gpu"}.
    """

    def __init__(self, *records: Any) -> None:
        self.records = list(records)
        self.extra: list[Any] = []
        self.faults: dict[str, Exception | Deferred[Answer]] = {}
        self.asked: list[str] = []

    def hold(self, *names: str) -> list[Deferred[Answer]]:
        """Let both kinds of address of these names wait; the answers are for the test to give."""
        held: dict[str, Deferred[Answer]] = {f"{word} {name}": Deferred() for name in names for word in ("A", "AAAA")}
        self.faults = dict(held)
        return list(held.values())

    def taken(self) -> list[str]:
        """What was asked since the last time."""
        asked, self.asked = self.asked, []
        return asked

    def lookupAddress(self, name: bytes) -> Deferred[Answer]:
        return self._answer(name.decode(), "A", dns.A)

    def lookupIPV6Address(self, name: bytes) -> Deferred[Answer]:
        return self._answer(name.decode(), "AAAA", dns.AAAA)

    def lookupService(self, name: bytes) -> Deferred[Answer]:
        return self._answer(name.decode(), "SRV", dns.SRV)

    def _answer(self, name: str, word: str, kind: int) -> Deferred[Answer]:
        self.asked.append(f"{word} {name}")
        fault = self.faults.get(f"{word} {name}", self.faults.get(name))
        if isinstance(fault, Exception):
            return fail(fault)
        if fault is not None:
            return fault
        here = [one for one in self.records if str(one.name).lower() == name.lower()]
        if not here:
            return fail(DNSNameError())
        return succeed(([one for one in here if one.type in (kind, dns.CNAME)], [], list(self.extra)))
