"""Questions over UDP, with real sockets of this host and without a reactor; what a resolver keeps, and lets go of."""

from __future__ import annotations

import socket
import tempfile
from pathlib import Path
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.defer import TimeoutError as AskedInVain
from twisted.internet.task import Clock
from twisted.names import dns
from twisted.names.error import DNSServerError
from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.service.discovery.dns_resolver import PATIENCE_S, NameResolver


class Readers(Clock):
    """A reactor that reads when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.readers: list[Any] = []
        self.connects: list[tuple[str, int]] = []

    def addReader(self, reader: Any) -> None:
        self.readers.append(reader)

    def removeReader(self, reader: Any) -> None:
        self.readers.remove(reader)

    def connectTCP(self, host: str, port: int, factory: Any) -> None:
        self.connects.append((host, port))


class Connection:
    """A TCP connection to a server, and its transport."""

    def __init__(self) -> None:
        self.transport = self
        self.closed = False

    def loseConnection(self) -> None:
        self.closed = True


class Server:
    """A name server's socket."""

    def __init__(self, host: str = "127.0.0.1") -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.socket = socket.socket(family, socket.SOCK_DGRAM)
        self.socket.bind((host, 0))
        self.socket.settimeout(5)
        self.address = (host, self.socket.getsockname()[1])
        self.client: Any = None

    def asked(self) -> dns.Message:
        """The next question."""
        data, self.client = self.socket.recvfrom(512)
        message = dns.Message()
        message.fromStr(data)
        return message

    def answer(self, asked: dns.Message, **more: Any) -> None:
        """Answer it with an address, and what else the test wants of the message."""
        message = dns.Message(asked.id, answer=1)
        message.queries = asked.queries
        message.answers = [dns.RRHeader("gpu", dns.A, dns.IN, 60, dns.Record_A("10.0.0.1"))]
        for name, value in more.items():
            setattr(message, name, value)
        self.socket.sendto(message.toStr(), self.client)


class QuestionTests(SynchronousTestCase):
    """One question, and what may come of it."""

    def setUp(self) -> None:
        self.reactor = Readers()
        self.servers: list[Server] = []

    def server(self, host: str = "127.0.0.1") -> Server:
        """One more."""
        server = Server(host)
        self.addCleanup(server.socket.close)
        self.servers.append(server)
        return server

    def ask(self) -> Deferred[Any]:
        """Ask all servers."""
        self.resolver = NameResolver([server.address for server in self.servers], self.reactor)
        return self.resolver.lookupAddress(b"gpu")

    def read(self) -> None:
        """What has come."""
        for reader in tuple(self.reactor.readers):
            reader.doRead()

    def assertOver(self) -> None:
        """Nothing is left: no socket, no timer."""
        self.assertEqual((self.reactor.readers, self.reactor.getDelayedCalls()), ([], []))

    def test_answered(self) -> None:
        """From both kinds of address; each question from a port of its own."""
        for host in ("127.0.0.1", "::1"):
            self.servers = []
            server = self.server(host)
            clients = set()
            for _ in range(3):
                asking = self.ask()
                self.read()
                self.assertNoResult(asking)
                asked = server.asked()
                self.assertEqual((asked.queries, asked.recDes), ([dns.Query(b"gpu", dns.A)], 1))
                server.answer(asked)
                self.read()
                answers, _, _ = self.successResultOf(asking)
                self.assertEqual(answers[0].payload.dottedQuad(), "10.0.0.1")
                self.assertOver()
                clients.add(server.client)
            self.assertGreater(len(clients), 1)

    def test_what_is_not_the_answer(self) -> None:
        """Is not taken for it, and does not keep it from coming."""
        server, other = self.server(), self.server()
        self.servers.remove(other)
        asking = self.ask()
        asked = server.asked()
        server.socket.sendto(b"", server.client)
        server.socket.sendto(b"nonsense", server.client)
        server.socket.sendto(b"\xc0" * 40, server.client)
        server.answer(asked, id=asked.id ^ 1)
        server.answer(asked, answer=0)
        server.answer(asked, queries=[dns.Query(b"other", dns.A)])
        server.answer(asked, queries=[])
        other.client = server.client
        other.answer(asked)
        for _ in range(9):
            self.read()
        self.assertNoResult(asking)
        server.answer(asked, queries=[dns.Query(b"GPU", dns.A)])
        self.read()
        self.successResultOf(asking)
        self.assertOver()

    def test_a_fault_without_the_question(self) -> None:
        """Some servers do not repeat it."""
        server = self.server()
        asking = self.ask()
        server.answer(server.asked(), queries=[], answers=[], rCode=dns.ESERVER)
        self.read()
        self.failureResultOf(asking, DNSServerError)
        self.assertOver()

    def test_nobody_listens(self) -> None:
        """Heard at once: the next server is asked, and when there is none, it is over."""
        gone, server = self.server(), self.server()
        gone.socket.close()
        asking = self.ask()
        self.read()
        server.answer(server.asked())
        self.read()
        self.successResultOf(asking)
        self.servers.remove(server)
        asking = self.ask()
        for _ in PATIENCE_S:
            self.read()
        self.failureResultOf(asking, AskedInVain)
        self.assertOver()

    def test_no_answer(self) -> None:
        """Each server in turn, and each again with more patience."""
        first, second = self.server(), self.server()
        asking = self.ask()
        for patience in PATIENCE_S:
            for server in (first, second):
                server.asked()
                self.reactor.advance(patience)
        self.failureResultOf(asking, AskedInVain)
        self.assertOver()

    def test_lost(self) -> None:
        """The reactor gave the socket up."""
        server = self.server()
        asking = self.ask()
        server.asked()
        self.reactor.readers[0].connectionLost(None)
        again = server.asked()
        server.answer(again)
        self.read()
        self.successResultOf(asking)
        self.assertOver()

    def test_given_up(self) -> None:
        """Whoever asked does not want to know any more."""
        self.server()
        asking = self.ask()
        asking.cancel()
        self.failureResultOf(asking, CancelledError)
        self.assertOver()

    def test_no_way_there(self) -> None:
        """An address that cannot be reached is like a server that does not answer."""
        self.resolver = NameResolver([("255.255.255.255", 53)], self.reactor)
        self.failureResultOf(self.resolver.lookupAddress(b"gpu"), AskedInVain)
        self.assertOver()

    def test_no_more_sockets(self) -> None:
        """Is what it says."""

        def none(*_: Any) -> None:
            raise OSError(24, "Too many open files")

        self.server()
        self.patch(socket, "socket", none)
        self.assertIn("Too many", self.failureResultOf(self.ask(), OSError).getErrorMessage())

    def test_too_long_for_udp(self) -> None:
        """Asked again over TCP."""
        server = self.server()
        asking = self.ask()
        server.answer(server.asked(), trunc=1)
        self.read()
        self.assertEqual(self.reactor.connects, [server.address])
        self.assertNoResult(asking)


class ResolverTests(SynchronousTestCase):
    """What it keeps."""

    def test_another_server_first(self) -> None:
        """In turn."""
        resolver = NameResolver([("192.0.2.1", 53), ("192.0.2.2", 53), ("192.0.2.3", 53)], Readers())
        resolver.next_server()
        self.assertEqual([host for host, _ in resolver.servers], ["192.0.2.2", "192.0.2.3", "192.0.2.1"])
        single = NameResolver([("192.0.2.1", 53)], Readers())
        single.next_server()
        self.assertEqual(single.servers, [("192.0.2.1", 53)])

    def test_the_hosts_own_servers(self) -> None:
        """Read again when the file changes; not any more once it is closed."""
        path = Path(tempfile.mkdtemp()) / "resolv.conf"
        path.write_text("nameserver 192.0.2.1\nnameserver 2001:db8::1\n")
        reactor = Readers()
        resolver = NameResolver([], reactor, str(path))
        self.assertEqual(resolver.dynServers, [("192.0.2.1", 53), ("2001:db8::1", 53)])
        resolver.next_server()
        self.assertEqual(resolver.dynServers, [("2001:db8::1", 53), ("192.0.2.1", 53)])
        path.write_text("nameserver 192.0.2.9\n")
        resolver._lastResolvTime = 0
        reactor.advance(60)
        self.assertEqual(resolver.dynServers, [("192.0.2.9", 53)])
        resolver.close()
        resolver.close()
        self.assertEqual(reactor.getDelayedCalls(), [])

    def test_tcp_connections_are_closed(self) -> None:
        """Those that are there, and one that comes after the end."""
        resolver = NameResolver([("192.0.2.1", 53)], Readers())
        first, late = Connection(), Connection()
        resolver.connectionMade(first)
        self.assertFalse(first.closed)
        resolver.hang_up()
        self.assertTrue(first.closed)
        resolver.close()
        resolver.connectionMade(late)
        self.assertTrue(late.closed)
