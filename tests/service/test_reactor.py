"""Our reactor keeps Twisted's promises, over real sockets, in a process of its own for each."""

from __future__ import annotations

import subprocess
import sys
import textwrap

from twisted.trial.unittest import SynchronousTestCase

_BEGIN = """
import sys
from aibrix_twisted.service.reactor import RelayReactor, install
install()
from twisted.internet import reactor, defer, task
from twisted.internet.protocol import Factory, ClientFactory, Protocol
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP4ServerEndpoint, connectProtocol
from twisted.python import log
assert isinstance(reactor, RelayReactor)
logged = []
log.addObserver(lambda event: logged.append(event) if event["isError"] else None)
reactor.callLater(20, lambda: (print("TOO LATE"), reactor.stop()))

def listen(protocol):
    return reactor.listenTCP(0, Factory.forProtocol(protocol), interface="127.0.0.1").getHost().port

async def connect(port, protocol):
    return await connectProtocol(TCP4ClientEndpoint(reactor, "127.0.0.1", port), protocol)

class Collector(Protocol):
    def __init__(self):
        self.got, self.lost = bytearray(), defer.Deferred()
    def dataReceived(self, data):
        self.got += data
    def connectionLost(self, reason):
        self.lost.callback(reason.value)
"""

_END = """
def failed(failure):
    print(failure.getTraceback())
    reactor.stop()
d = defer.Deferred.fromCoroutine(main())
d.addCallbacks(lambda _: (print("OK"), reactor.stop()), failed)
reactor.run()
"""


class ReactorTests(SynchronousTestCase):
    """What a protocol may rely on."""

    def run_in_process(self, body: str) -> None:
        """Run C{async def main()} on the reactor."""
        program = _BEGIN + textwrap.dedent(body) + _END
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
        self.assertEqual((done.stdout.strip().splitlines() or [""])[-1], "OK", done.stdout + done.stderr)

    def test_an_error_in_data_received_loses_only_that_connection(self) -> None:
        """It is logged, that connection is lost with it, another goes on."""
        self.run_in_process("""
            class Fragile(Protocol):
                def dataReceived(self, data):
                    if data == b"break":
                        raise RuntimeError("a defect")
                    self.transport.write(data)
                def connectionLost(self, reason):
                    lost.append(reason.type)
            lost = []

            async def main():
                port = listen(Fragile)
                one, two = await connect(port, Collector()), await connect(port, Collector())
                one.transport.write(b"break")
                await one.lost
                assert lost == [RuntimeError], lost
                assert any("a defect" in str(event.get("failure")) for event in logged)
                two.transport.write(b"still here")
                while two.got != b"still here":
                    await task.deferLater(reactor, 0.01)
        """)

    def test_a_connection_that_is_lost_is_gone(self) -> None:
        """And who asked for it with it: nothing of them waits for the collector of cycles, which comes seldom."""
        self.run_in_process("""
            import gc, weakref
            from aibrix_twisted.service.upstream.connect import Connecting
            from aibrix_twisted.service.upstream.protocol import UpstreamConnection

            class Asking:
                def __init__(self):
                    self.came = defer.Deferred()
                def connected(self, connection):
                    self.came.callback(connection)
                def failed(self, why, *, refused, tls):
                    raise AssertionError(why)
                def lost(self, connection):
                    pass

            async def main():
                port, asking = listen(Protocol), Asking()
                make = lambda made, unmade: UpstreamConnection(asking, ("127.0.0.1", port, None), made, unmade)
                Connecting(reactor, "127.0.0.1", port, 5.0, make, asking.connected, asking.failed).start()
                connection = await asking.came
                gc.collect()
                gc.disable()
                ours, theirs = weakref.ref(asking), weakref.ref(connection)
                connection.abandon()
                del connection, asking, make
                await task.deferLater(reactor, 0.1)
                assert theirs() is None, gc.get_referrers(theirs())
                assert ours() is None, gc.get_referrers(ours())
        """)

    def test_turns_are_measured(self) -> None:
        """Each turn counts once; what is waited does not; a long one is seen as long."""
        self.run_in_process("""
            def dawdle(seconds):
                until = reactor.seconds() + seconds
                while reactor.seconds() < until:
                    pass

            async def main():
                await task.deferLater(reactor, 0.05)
                before = reactor.turns
                long, total = before.buckets()[-1][1] - before.buckets()[0][1], before.total
                began = reactor.seconds()
                reactor.callLater(0.3, dawdle, 0.03)
                await task.deferLater(reactor, 0.6)
                turns = reactor.turns
                bounds = dict(turns.buckets())
                assert bounds["+Inf"] - bounds["0.025"] >= 1, bounds
                assert bounds["+Inf"] > long
                assert 0.03 <= turns.total - total < reactor.seconds() - began - 0.2, turns.total
                assert reactor.turns.buckets() == turns.buckets()
        """)

    def test_a_crowd_that_comes_at_once(self) -> None:
        """All are accepted, and in between it is the others' turn, however long the crowd comes."""
        self.run_in_process("""
            import socket
            turn, accepted = [0], []

            class Counts(Protocol):
                def connectionMade(self):
                    accepted.append(turn[0])

            def count():
                turn[0] += 1
                reactor.callLater(0, count)

            async def main():
                port = listen(Counts)
                count()
                crowd = [socket.create_connection(("127.0.0.1", port)) for _ in range(45)]  # the backlog takes fifty
                while len(accepted) < len(crowd):
                    await task.deferLater(reactor, 0)
                each = [accepted.count(number) for number in range(turn[0] + 1)]
                assert max(each) <= 16, each
                for peer in crowd:
                    peer.close()
        """)

    def test_everything_written_arrives_in_order(self) -> None:
        """Large and small writes, more than the socket takes, a close right behind them."""
        self.run_in_process("""
            class Pours(Protocol):
                def connectionMade(self):
                    for number in range(300):
                        self.transport.write(bytes([number % 256]) * (1 if number % 3 else 70000))
                    self.transport.writeSequence([b"the", b" end"])
                    self.transport.loseConnection()

            async def main():
                client = await connect(listen(Pours), Collector())
                reason = await client.lost
                expected = b"".join(bytes([n % 256]) * (1 if n % 3 else 70000) for n in range(300)) + b"the end"
                assert client.got == expected, (len(client.got), len(expected))
                assert "cleanly" in str(reason)
        """)

    def test_half_close(self) -> None:
        """A writer that closes its side can still read; what it wrote before arrives."""
        self.run_in_process("""
            from zope.interface import implementer
            from twisted.internet.interfaces import IHalfCloseableProtocol

            @implementer(IHalfCloseableProtocol)
            class Answers(Protocol):
                got = b""
                def dataReceived(self, data):
                    self.got += data
                def readConnectionLost(self):
                    self.transport.write(b"got " + self.got)
                    self.transport.loseConnection()
                def writeConnectionLost(self):
                    pass

            async def main():
                client = await connect(listen(Answers), Collector())
                client.transport.write(b"question")
                client.transport.loseWriteConnection()
                await client.lost
                assert client.got == b"got question", client.got
        """)

    def test_producers_are_paused_and_resumed(self) -> None:
        """A push producer is paused when its peer does not read, and resumed when it does; a pull producer is asked."""
        self.run_in_process("""
            from zope.interface import implementer
            from twisted.internet.interfaces import IPushProducer, IPullProducer

            @implementer(IPushProducer)
            class Push(Protocol):
                def connectionMade(self):
                    self.sent, self.pauses, self.paused = 0, 0, False
                    servers.append(self)
                    self.transport.registerProducer(self, True)
                    self.resumeProducing()
                def pauseProducing(self):
                    self.pauses += 1
                    self.paused = True
                def resumeProducing(self):
                    self.paused = False
                    while not self.paused and self.sent < 20_000_000:
                        self.transport.write(b"x" * 50000)
                        self.sent += 50000
                    if self.sent >= 20_000_000:
                        self.transport.unregisterProducer()
                        self.transport.loseConnection()
                def stopProducing(self):
                    pass

            @implementer(IPullProducer)
            class Pull(Protocol):
                left = 5
                def connectionMade(self):
                    self.transport.registerProducer(self, False)
                def resumeProducing(self):
                    self.transport.write(b"p")
                    self.left -= 1
                    if not self.left:
                        self.transport.unregisterProducer()
                        self.transport.loseConnection()
                def stopProducing(self):
                    pass

            servers = []
            async def main():
                client = Collector()
                await connect(listen(Push), client)
                client.transport.pauseProducing()
                await task.deferLater(reactor, 0.3)
                assert servers[0].paused and servers[0].sent < 19_000_000, servers[0].sent
                client.transport.resumeProducing()
                await client.lost
                assert len(client.got) == 20_000_000 and servers[0].pauses >= 1
                puller = await connect(listen(Pull), Collector())
                await puller.lost
                assert puller.got == b"ppppp"
        """)

    def test_write_does_not_call_back(self) -> None:
        """A write to a peer that is gone returns; the loss is told later, from the loop."""
        self.run_in_process("""
            class Shouts(Protocol):
                def connectionMade(self):
                    self.inside = self.nested = False
                    servers.append(self)
                    self.lost = defer.Deferred()
                def connectionLost(self, reason):
                    self.nested = self.inside
                    self.lost.callback(None)
            servers = []

            async def main():
                client = await connect(listen(Shouts), Collector())
                while not servers:
                    await task.deferLater(reactor, 0.01)
                client.transport.abortConnection()
                await task.deferLater(reactor, 0.05)
                server = servers[0]
                for _ in range(50):
                    server.inside = True
                    server.transport.write(b"x" * 1000)
                    server.inside = False
                    await task.deferLater(reactor, 0)
                await server.lost
                assert not server.nested
        """)

    def test_tls(self) -> None:
        """listenSSL, connectSSL and startTLS work over our transports, with more than a socket takes at once."""
        self.run_in_process("""
            from OpenSSL import crypto
            from twisted.internet import ssl
            key = crypto.PKey(); key.generate_key(crypto.TYPE_RSA, 2048)
            cert = crypto.X509(); cert.set_serial_number(1); cert.get_subject().CN = "localhost"
            cert.gmtime_adj_notBefore(0); cert.gmtime_adj_notAfter(3600)
            cert.set_issuer(cert.get_subject()); cert.set_pubkey(key); cert.sign(key, "sha256")
            own = ssl.PrivateCertificate.fromCertificateAndKeyPair(
                ssl.Certificate(cert), ssl.KeyPair(key)).options()

            class Echo(Protocol):
                def dataReceived(self, data):
                    self.transport.write(data)

            class Upgrades(Protocol):
                def connectionMade(self):
                    self.plain = True
                def dataReceived(self, data):
                    if self.plain:
                        self.plain = False
                        self.transport.write(b"go")
                        self.transport.startTLS(own)
                    else:
                        self.transport.write(data)

            async def exchange(client):
                payload = b"y" * 3_000_000
                client.got.clear()
                client.transport.write(payload)
                while client.got != payload:
                    await task.deferLater(reactor, 0.01)
                client.transport.loseConnection()
                await client.lost

            async def main():
                port = reactor.listenSSL(0, Factory.forProtocol(Echo), own, interface="127.0.0.1").getHost().port
                client = Collector()
                factory = ClientFactory.forProtocol(lambda: client)
                reactor.connectSSL("127.0.0.1", port, factory, ssl.CertificateOptions())
                while client.transport is None:
                    await task.deferLater(reactor, 0.01)
                await exchange(client)
                other = await connect(listen(Upgrades), Collector())
                other.transport.write(b"please")
                while other.got != b"go":
                    await task.deferLater(reactor, 0.01)
                other.transport.startTLS(ssl.CertificateOptions())
                await exchange(other)
        """)

    def test_seconds_is_monotonic_and_timers_fire_in_order(self) -> None:
        """Deadlines do not depend on what the wall's clock is set to."""
        self.run_in_process("""
            import time
            async def main():
                assert abs(reactor.seconds() - time.monotonic()) < 1
                order = []
                reactor.callLater(0.02, order.append, 2)
                reactor.callLater(0.01, order.append, 1)
                await task.deferLater(reactor, 0.05)
                assert order == [1, 2]
        """)
