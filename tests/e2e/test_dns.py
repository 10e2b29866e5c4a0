"""Replicas from DNS, asked of a real name server: Twisted's, on UDP and TCP of this host, its records changed meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from pytest_twisted import ensureDeferred
from twisted.internet import reactor
from twisted.internet.error import CannotListenError
from twisted.internet.task import deferLater
from twisted.logger import globalLogPublisher
from twisted.names import dns
from twisted.names.authority import FileAuthority
from twisted.names.server import DNSServerFactory

from aibrix_twisted.domain.settings import DnsSettings, ReplicaSettings
from aibrix_twisted.service.discovery import dns_resolver
from aibrix_twisted.service.discovery.dns import DnsSource

PATIENCE_S = 40
ZONE = b"example.org"
GPU = b"gpu.example.org"
SERVICE = b"_vllm._tcp.gpu.example.org"
A, AAAA, CNAME, SRV = dns.Record_A, dns.Record_AAAA, dns.Record_CNAME, dns.Record_SRV


class Authority(FileAuthority):
    """A zone in memory."""

    def __init__(self, additional: bool) -> None:
        super().__init__("")
        self.soa = (ZONE, dns.Record_SOA(mname=b"ns.example.org", minimum=1, expire=1))
        self.records: dict[bytes, list[Any]] = {ZONE: [self.soa[1]]}
        self._additional = additional

    def _additionalRecords(self, answer: Any, authority: Any, ttl: int) -> Any:
        """Addresses of services' targets, as most servers send them and Twisted's does not."""
        yield from super()._additionalRecords(answer, authority, ttl)
        targets = [record.payload.target.name for record in answer if record.type == dns.SRV]
        for target in dict.fromkeys(targets) if self._additional else ():
            for record in self.records.get(target, ()):
                yield dns.RRHeader(target, record.TYPE, dns.IN, record.ttl or 0, record, auth=True)


class Datagrams(dns.DNSDatagramProtocol):
    """UDP with the bound that it has without extensions: Twisted's server knows of none."""

    def writeMessage(self, message: dns.Message, address: tuple[str, int]) -> None:
        message.maxSize = 512
        super().writeMessage(message, address)


class NameServer(DNSServerFactory):
    """The server.

    @ivar asked: questions, as C{"udp A gpu.example.org"}.
    @ivar broken: the code that it answers with instead; C{None}: it does not answer; 0: it works.
    """

    noisy = False

    def __init__(self, host: str = "127.0.0.1", *, additional: bool = False) -> None:
        self.zone = Authority(additional)
        super().__init__(authorities=[self.zone])
        self.asked: list[str] = []
        self.broken: int | None = 0
        self.tcp, self.udp = self._listen(host)
        port = self.tcp.getHost().port
        self.address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    def _listen(self, host: str) -> tuple[Any, Any]:
        """The same port of both."""
        for _ in range(20):
            tcp = reactor.listenTCP(0, self, interface=host)
            try:
                return tcp, reactor.listenUDP(tcp.getHost().port, Datagrams(self), interface=host)
            except CannotListenError:
                tcp.stopListening()
        raise AssertionError("no port is free")

    async def stop(self) -> None:
        """Listen no more."""
        for connection in tuple(self.connections):
            connection.transport.abortConnection()
        await self.tcp.stopListening()
        await self.udp.stopListening()

    def handleQuery(self, message: Any, protocol: Any, address: Any) -> Any:
        """Note it, and answer, or not."""
        query = message.queries[0]
        self.asked.append(f"{'tcp' if address is None else 'udp'} {dns.QUERY_TYPES[query.type]} {query.name}")
        if self.broken is None:
            return None
        if self.broken:
            return self.sendReply(protocol, self._responseFromMessage(message, rCode=self.broken), address)
        return super().handleQuery(message, protocol, address)


class World:
    """A source before a server.

    @ivar published: each list, as names and URLs.
    """

    def __init__(self, server: NameServer, **settings: Any) -> None:
        self.server = server
        self.published: list[dict[str, str]] = []
        settings = {"name": GPU.decode(), "servers": (server.address,), "min_ttl": 0.05, "max_ttl": 0.1, **settings}
        self.source = DnsSource(DnsSettings(**settings), self._publish, reactor)

    def _publish(self, replicas: tuple[ReplicaSettings, ...]) -> None:
        self.published.append({replica.name: replica.url for replica in replicas})

    async def __aenter__(self) -> World:
        self.source.start()
        return self

    async def __aexit__(self, *exc: object) -> None:
        self.source.stop()
        await self.server.stop()

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait for it."""
        deadline = reactor.seconds() + PATIENCE_S
        while not condition():
            assert reactor.seconds() < deadline, (self.published, self.source.problem, self.server.asked[-9:])
            await deferLater(reactor, 0.002)

    async def names(self, *names: str) -> dict[str, str]:
        """Wait until the replicas are these."""
        await self.until(lambda: self.published and set(self.published[-1]) == set(names))
        return self.published[-1]

    async def asked(self, times: int) -> None:
        """Wait until it has been asked so often."""
        count = len(self.server.asked) + times
        await self.until(lambda: len(self.server.asked) >= count)


@ensureDeferred
async def test_addresses_come_and_go() -> None:
    """Both kinds; what changes in the zone is published, and nothing else is."""
    server = NameServer()
    server.zone.records[GPU] = [A("10.0.0.1", 0), AAAA("2001:db8::1", 0)]
    async with World(server) as world:
        found = await world.names("10.0.0.1:8000", "[2001:db8::1]:8000")
        assert found["[2001:db8::1]:8000"] == "http://[2001:db8::1]:8000"
        server.zone.records[GPU] = [A("10.0.0.2", 0), A("10.0.0.1", 0)]
        await world.names("10.0.0.1:8000", "10.0.0.2:8000", "[2001:db8::1]:8000")
        await world.names("10.0.0.1:8000", "10.0.0.2:8000")  # that there is no AAAA any more was said three times
        await world.asked(10)
        assert len(world.published) == 3
        assert world.source.problem == ""


@ensureDeferred
async def test_a_server_on_ipv6() -> None:
    """Spelled in another way than the system spells it."""
    server = NameServer("::1")
    server.zone.records[GPU] = [A("10.0.0.1", 0)]
    async with World(server, servers=(server.address.replace("::1", "0:0:0:0:0:0:0:1"),)) as world:
        await world.names("10.0.0.1:8000")


@ensureDeferred
async def test_time_to_live() -> None:
    """It is not asked again before it is over, and then it is."""
    server = NameServer()
    server.zone.records[GPU] = [A("10.0.0.1", 1), A("10.0.0.2", 100)]
    async with World(server, max_ttl=300.0) as world:
        await world.names("10.0.0.1:8000", "10.0.0.2:8000")
        began = reactor.seconds()
        server.zone.records[GPU] = [A("10.0.0.2", 100)]
        await world.names("10.0.0.2:8000")
        assert reactor.seconds() - began > 0.9
        assert len(server.asked) == 4


@ensureDeferred
async def test_a_long_answer() -> None:
    """Sixty records do not fit into a datagram: all of them come over TCP, and the connection does not stay."""
    server = NameServer()
    server.zone.records[GPU] = [A(f"10.0.0.{number}", 0) for number in range(1, 61)]
    async with World(server) as world:
        await world.names(*(f"10.0.0.{number}:8000" for number in range(1, 61)))
        assert f"udp A {GPU.decode()}" in server.asked
        assert f"tcp A {GPU.decode()}" in server.asked
        server.zone.records[GPU] = [A("10.0.0.1", 0)]
        await world.names("10.0.0.1:8000")
        await world.until(lambda: not server.connections)


@ensureDeferred
async def test_aliases() -> None:
    """A chain of them; to where the server has nothing more to say, it is asked for."""
    server = NameServer()
    records = server.zone.records
    records[GPU] = [CNAME(b"Rack1.example.org", 0)]
    records[b"rack1.example.org"] = [CNAME(b"host.example.org", 0)]
    records[b"host.example.org"] = [A("10.0.0.1", 0)]
    async with World(server) as world:
        await world.names("10.0.0.1:8000")
        records[b"rack1.example.org"] = [CNAME(b"other.example.org", 0)]
        records[b"other.example.org"] = [A("10.0.0.2", 0)]
        await world.names("10.0.0.2:8000")
        records[b"rack1.example.org"] = [CNAME(GPU, 0)]
        await world.until(lambda: "without end" in world.source.problem)
        assert list(world.published[-1]) == ["10.0.0.2:8000"]


@ensureDeferred
async def test_names_in_other_letters() -> None:
    """DNS does not know small from capital; nor does it matter how the name ends."""
    server = NameServer()
    server.zone.records[GPU] = [A("10.0.0.1", 0)]
    async with World(server, name="GPU.Example.ORG.") as world:
        await world.names("10.0.0.1:8000")


@ensureDeferred
async def test_a_server_in_trouble(monkeypatch: pytest.MonkeyPatch) -> None:
    """It fails, is silent, is gone, and comes back: the list stays, and then it is the new one."""
    monkeypatch.setattr(dns_resolver, "PATIENCE_S", (0.1, 0.2))
    server = NameServer()
    server.zone.records[GPU] = [A("10.0.0.1", 0)]
    async with World(server) as world:
        await world.names("10.0.0.1:8000")
        for code, words in ((dns.ESERVER, "the server failed"), (dns.EREFUSED, "refused"), (dns.ENOTIMP, "A: ")):
            server.broken = code
            await world.until(lambda: words in world.source.problem)  # noqa: B023 - waited for here
            await world.asked(8)
        server.broken = None
        await world.until(lambda: "no answer" in world.source.problem)
        await server.stop()
        await world.until(lambda: world.source._next is not None)
        await world.until(lambda: world.source._looking is not None)
        await world.until(lambda: world.source._next is not None)
        assert "no answer" in world.source.problem
        assert [list(names) for names in world.published] == [["10.0.0.1:8000"]]
        world.server = back = NameServer()
        back.zone.records[GPU] = [A("10.0.0.2", 0)]
        world.source.stop()
        world.source._servers = [("127.0.0.1", back.tcp.getHost().port)]
        world.source.start()
        await world.names("10.0.0.2:8000")
        assert world.source.problem == ""


@ensureDeferred
async def test_two_servers() -> None:
    """One that is gone costs nothing, and one that fails is not asked first for ever."""
    gone, failing, server = NameServer(), NameServer(), NameServer()
    await gone.stop()
    failing.broken = dns.ESERVER
    server.zone.records[GPU] = [A("10.0.0.1", 0)]
    async with World(server, servers=(gone.address, failing.address, server.address)) as world:
        await world.names("10.0.0.1:8000")
        await world.asked(6)
        assert world.source.problem == ""
    await failing.stop()


@ensureDeferred
async def test_names_that_vanish() -> None:
    """Believed after three answers in a row; a single one, as from a server that reloads, changes nothing."""
    server = NameServer()
    server.zone.records[GPU] = well = [A("10.0.0.1", 0)]
    async with World(server, min_ttl=0.1, max_ttl=0.1) as world:
        await world.names("10.0.0.1:8000")
        del server.zone.records[GPU]
        await world.until(lambda: "does not exist" in world.source.problem)
        server.zone.records[GPU] = well
        await world.until(lambda: world.source.problem == "")
        assert len(world.published) == 1
        del server.zone.records[GPU]
        await world.names()
        server.zone.records[GPU] = well
        await world.names("10.0.0.1:8000")
        assert len(world.published) == 3


@ensureDeferred
async def test_services() -> None:
    """Targets, ports and priorities, with the addresses sent along and without."""
    for additional in (False, True):
        server = NameServer(additional=additional)
        records = server.zone.records
        records[SERVICE] = [
            SRV(1, 0, 8001, b"g1.example.org", 0),
            SRV(1, 0, 8002, b"g1.example.org", 0),
            SRV(1, 0, 8000, b"g2.example.org", 0),
            SRV(2, 0, 8000, b"spare.example.org", 0),
        ]
        records[b"g1.example.org"] = [A("10.0.0.1", 0)]
        records[b"g2.example.org"] = [A("10.0.0.2", 0), AAAA("2001:db8::2", 0)]
        records[b"spare.example.org"] = [A("10.0.0.9", 0)]
        async with World(server, name=SERVICE.decode(), kind="srv") as world:
            found = await world.names(
                "g1.example.org:8001", "g1.example.org:8002", "10.0.0.2:8000", "[2001:db8::2]:8000"
            )
            assert found["g1.example.org:8002"] == "http://10.0.0.1:8002"
            assert ("udp A g1.example.org" in server.asked) is not additional
            assert "udp A spare.example.org" not in server.asked
            records[SERVICE] = records[SERVICE][3:]
            await world.names("spare.example.org:8000")
            assert world.source.problem == ""


@ensureDeferred
async def test_a_long_service() -> None:
    """Its records and their addresses over TCP, and a question for each target where these do not come."""
    for additional in (False, True):
        server = NameServer(additional=additional)
        names = [f"g{number}.example.org" for number in range(60)]
        server.zone.records[SERVICE] = [SRV(0, 0, 8000, name.encode(), 0) for name in names]
        for number, name in enumerate(names):
            server.zone.records[name.encode()] = [A(f"10.0.1.{number}", 0)]
        async with World(server, name=SERVICE.decode(), kind="srv") as world:
            await world.names(*(f"{name}:8000" for name in names))
            assert f"tcp SRV {SERVICE.decode()}" in server.asked


@ensureDeferred
async def test_the_log_is_quiet() -> None:
    """Asking again and again writes nothing."""
    server = NameServer()
    server.zone.records[GPU] = [A("10.0.0.1", 0)]
    logged: list[Any] = []
    async with World(server) as world:
        await world.names("10.0.0.1:8000")
        globalLogPublisher.addObserver(logged.append)
        try:
            await world.asked(10)
        finally:
            globalLogPublisher.removeObserver(logged.append)
        assert logged == []


@ensureDeferred
async def test_stopped_while_asking() -> None:
    """Nothing of it is left in the reactor, and nothing is published."""
    server = NameServer()
    server.broken = None
    world = World(server)
    before = len(reactor.getReaders())
    world.source.start()
    assert len(reactor.getReaders()) == before + 2
    world.source.stop()
    assert len(reactor.getReaders()) == before
    await server.stop()
    assert world.published == []
