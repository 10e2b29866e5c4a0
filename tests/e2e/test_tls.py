"""TLS over real sockets: what is spoken, what is refused, who is who, and certificates that change beneath it all."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from OpenSSL import SSL
from pytest_twisted import ensureDeferred
from twisted.internet import reactor
from twisted.internet.threads import deferToThread

from aibrix_twisted.demo.speed import Speed
from aibrix_twisted.domain.settings import Limits, Timeouts, TlsSettings
from aibrix_twisted.service.reactor import RelayReactor
from tests.authority import Authority
from tests.e2e import hello
from tests.e2e.client import ask, chat, connect
from tests.e2e.fleet import Fleet
from tests.e2e.harness import World, free_port
from tests.e2e.secure import With, authority, believing, issued
from tests.service.tls.peer import certificates, trusting

CHAT = "/v1/chat/completions"


def secure(**more: Any) -> World:
    """A gateway that speaks TLS with its clients."""
    more.setdefault("tls", TlsSettings(certificate=certificates(issued())))
    return World(**more)


# -- what is spoken --------------------------------------------------------------------------------------------------


@ensureDeferred
async def test_old_versions() -> None:
    """SSL 2.0 and 3.0, TLS 1.0 and 1.1 are refused with the alert for it; TLS 1.2 is spoken."""
    async with secure() as world:
        assert not (await deferToThread(hello.old_hello, world.port)).startswith(b"\x16")
        for version in (hello.SSL3, hello.TLS10, hello.TLS11):
            reply = await deferToThread(hello.hello, world.port, version)
            assert reply == hello.Reply(alert=hello.PROTOCOL_VERSION), hex(version)
        reply = await deferToThread(hello.hello, world.port)
        assert (reply.version, reply.cipher) == (hello.TLS12, hello.STRONG[0])
        await world.until(lambda: not world.gateway.exchanges.live)
        assert world.gateway.exchanges.handshakes.counts["failed"] >= 4


@pytest.mark.parametrize("kind", hello.WEAK)
@ensureDeferred
async def test_weak_ciphers(kind: str) -> None:
    """Each by itself, and all of a kind together: there is none in common, whichever kind of key the certificate has."""
    for shown in (issued(), authority().issue("localhost", rsa_key=True)):
        async with secure(tls=TlsSettings(certificate=certificates(shown))) as world:
            assert (await deferToThread(hello.hello, world.port)).cipher in hello.STRONG
            ciphers = hello.WEAK[kind]
            for offered in (ciphers, *((cipher,) for cipher in ciphers)):
                reply = await deferToThread(hello.hello, world.port, hello.TLS12, offered)
                assert reply == hello.Reply(alert=hello.HANDSHAKE_FAILURE), [hex(cipher) for cipher in offered]


@ensureDeferred
async def test_old_extensions() -> None:
    """No compression though it is offered (CRIME), no heartbeats (Heartbleed); renegotiation is the secure one, the master
    secret the extended one (RFC 5746, RFC 7627)."""
    async with secure() as world:
        reply = await deferToThread(hello.hello, world.port, compression=b"\1\0")
        assert (reply.version, reply.compression) == (hello.TLS12, 0)
        assert 15 not in reply.extensions
        assert {23, 35, 0xFF01} <= set(reply.extensions)


@ensureDeferred
async def test_no_renegotiation() -> None:
    """Of TLS 1.2; a client that asks for it is refused, and costs nothing."""
    async with secure() as world:
        context = trusting(authority(), versions=(SSL.TLS1_2_VERSION, SSL.TLS1_2_VERSION))

        def ask_for_it() -> str:
            with socket.create_connection(("127.0.0.1", world.port), timeout=20) as plain:
                plain.settimeout(None)
                peer = SSL.Connection(context, plain)
                peer.set_connect_state()
                peer.do_handshake()
                peer.renegotiate()
                try:
                    peer.do_handshake()
                except SSL.Error as error:
                    return str(error)
                return ""

        assert "no renegotiation" in await deferToThread(ask_for_it)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="there is no openssl")
@ensureDeferred
async def test_as_openssl_sees_it() -> None:
    """Its own client: the versions, a ticket of two hours, a session that is resumed, a chain that verifies."""
    async with secure() as world:

        def see(*more: str) -> str:
            said = subprocess.run(
                ["openssl", "s_client", "-connect", f"127.0.0.1:{world.port}", "-CAfile", authority().path,
                 "-servername", "localhost", "-verify_return_error", "-alpn", "h2,http/1.1", *more],
                input=b"GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n", capture_output=True, check=False, timeout=50,
            )  # fmt: skip
            return said.stdout.decode(errors="replace")

        session = Path(authority().folder) / "session"
        for version, cipher in (("-tls1_2", "ECDHE-ECDSA-AES256-GCM-SHA384"), ("-tls1_3", "TLS_AES_256_GCM_SHA384")):
            first = await deferToThread(see, version, "-ign_eof", "-sess_out", str(session))
            assert "Verify return code: 0 (ok)" in first
            assert f"New, {'TLSv1.3' if version == '-tls1_3' else 'TLSv1.2'}, Cipher is {cipher}" in first
            assert "ALPN protocol: http/1.1" in first
            assert "TLS session ticket lifetime hint: 7200 (seconds)" in first
            assert "Compression: NONE" in first
            assert "HTTP/1.1 200 OK" in first
            again = await deferToThread(see, version, "-ign_eof", "-sess_in", str(session))
            assert "Reused, TLS" in again
        assert "Secure Renegotiation IS supported" in await deferToThread(see, "-tls1_2")


@ensureDeferred
async def test_min_version() -> None:
    """TLS 1.3 and nothing else, where that is wanted."""
    async with secure(tls=TlsSettings(certificate=certificates(issued()), min_version="1.3")) as world:
        assert (await deferToThread(hello.hello, world.port)).alert == hello.PROTOCOL_VERSION
        assert (await ask(world.port, "/healthz", method="GET", tls=believing())).status == 200


@ensureDeferred
async def test_http_on_the_port_of_tls() -> None:
    """Is closed; TLS on the port of HTTP is answered with what it is."""
    async with secure() as world:
        plain = await deferToThread(hello._said, world.port, b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        assert not plain.startswith(b"HTTP")
        assert (await ask(world.port, "/healthz", method="GET", tls=believing())).status == 200


# -- hostile clients -------------------------------------------------------------------------------------------------


@ensureDeferred
async def test_a_handshake_that_does_not_end() -> None:
    """Nothing, half of a hello, or a byte of it now and then: it is over at its deadline, for each of many."""
    async with secure(timeouts=Timeouts(tls_handshake=0.8)) as world:
        peers = [socket.create_connection(("127.0.0.1", world.port)) for _ in range(40)]
        for number, peer in enumerate(peers):
            peer.setblocking(False)
            if number % 3:
                peer.sendall(b"\x16\x03\x01\x40\x00\x01\x00")
        await world.until(lambda: len(world.gateway.exchanges.live) == 40)

        def drip() -> bool:
            for peer in peers[2::3]:
                try:
                    peer.send(b"\0")
                except OSError:
                    pass
            return not world.gateway.exchanges.live

        began = reactor.seconds()
        await world.until(drip)
        assert reactor.seconds() - began < 20
        assert world.gateway.exchanges.handshakes.counts["late"] == 40
        for peer in peers:
            peer.close()
        assert (await ask(world.port, "/healthz", method="GET", tls=believing())).status == 200


@ensureDeferred
async def test_too_many_are_told_so() -> None:
    """After their handshake, as without TLS: a 503, whole, and then the end."""
    async with secure(limits=Limits(connections=2)) as world:
        clients = [await connect(world.port, believing()) for _ in range(2)]
        for client in clients:
            assert (await client.request("/healthz", method="GET")).status == 200
        third = await connect(world.port, believing())
        refused = await third.request("/healthz", method="GET")
        assert (refused.status, refused.whole, refused.code) == (503, True, "too_many_connections")
        await third.closed
        for client in clients:
            client.transport.loseConnection()
            await client.closed


@ensureDeferred
async def test_half_a_close() -> None:
    """A client that says good-bye has left, as one that closes TCP has: its engine is told."""
    async with secure(speed=Speed(prefill=0.0, decode=20.0)) as world:
        client = await connect(world.port, believing())
        _ = client.request(CHAT, chat(stream=True, tokens=1000))
        await client.head()
        client.transport.getHandle().shutdown()
        client.transport._flushSendBIO()
        await world.until(lambda: world.over)
        assert world.over[0].status == 499
        await world.until(lambda: not world.engines[0].stats.running)
        await client.closed


@ensureDeferred
async def test_what_is_written_is_sent_at_once() -> None:
    """On our reactor: it is with the client before the reactor's next turn.  On others, in it."""
    async with secure() as world:
        client = await connect(world.port, believing())
        await client.request("/healthz", method="GET")
        (connection,) = world.gateway.exchanges.live
        connection.transport.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
        carrier = connection.transport.carrier
        waits = len(carrier.dataBuffer) + carrier._tempDataLen
        assert (waits == 0) is isinstance(reactor, RelayReactor)
        client.transport.abortConnection()
        await client.closed


# -- who is who ------------------------------------------------------------------------------------------------------


@ensureDeferred
async def test_names() -> None:
    """Each client gets the certificate of the name that it asks for."""
    other = authority().issue("b.example", "*.c.example")
    async with secure(tls=TlsSettings(certificate=certificates(issued(), other))) as world:
        for name, shown in (
            ("b.example", other), ("x.c.example", other), ("localhost", issued()), ("unknown.example", issued()), ("", issued()),
        ):  # fmt: skip
            creator = With(trusting(authority()), name)
            assert (await ask(world.port, "/healthz", method="GET", tls=creator)).status == 200
            context = ssl.create_default_context(cafile=authority().path)
            context.check_hostname = False

            def der(context: ssl.SSLContext = context, name: str = name) -> bytes | None:
                with socket.create_connection(("127.0.0.1", world.port)) as plain:
                    with context.wrap_socket(plain, server_hostname=name or None) as peer:
                        return peer.getpeercert(binary_form=True)

            assert await deferToThread(der) == shown.certificate.public_bytes(Encoding.DER)


@ensureDeferred
async def test_clients_certificates() -> None:
    """One that the authority knows gets in, and is named on its exchange; others are told by an alert, and the log by a
    line."""
    alice = authority().issue(subject="alice", client=True)
    mallory = Authority(authority().folder, "Somebody").issue(subject="mallory", client=True)
    tls = TlsSettings(certificate=certificates(issued()), client_ca=authority().path, client_auth="required")
    async with secure(tls=tls) as world:
        answer = await ask(world.port, CHAT, chat(), tls=With(trusting(authority(), alice)))
        assert answer.status == 200
        assert [exchange.identity for exchange in world.over] == ["CN=alice"]
        for shown in (None, mallory):
            client = await connect(world.port, With(trusting(authority(), shown)))
            _ = client.request(CHAT, chat())
            await client.closed
            assert client._answer.status == 0
        assert len(world.over) == 1
        assert world.gateway.exchanges.handshakes.counts["failed"] == 2
        assert world.in_flight == 0


# -- settings --------------------------------------------------------------------------------------------------------


@ensureDeferred
async def test_strict_transport_security() -> None:
    """On every answer over TLS: an engine's, our own, an error."""
    tls = TlsSettings(certificate=certificates(issued()), hsts_max_age=300, hsts_subdomains=True)
    async with secure(tls=tls) as world:
        for path, method in ((CHAT, "POST"), ("/v1/models", "GET"), ("/nowhere", "GET")):
            answer = await ask(world.port, path, chat() if method == "POST" else None, method=method, tls=believing())
            assert answer.headers["strict-transport-security"] == "max-age=300; includeSubDomains"


class Told(Fleet):
    """A gateway with listeners of the test's own.

    @ivar other: one more port.
    """

    def __init__(self, lines: str) -> None:
        """@param lines: of the file; C{PORT}, C{OTHER} and C{FOLDER} stand for what they say."""
        self._lines = lines
        self.other = free_port()
        super().__init__(0, engines=1)

    def tell(self, *known: int, more: str = "") -> None:
        """The file, from now on."""
        lines = self._lines
        for word, value in (("PORT", self.port), ("OTHER", self.other), ("FOLDER", self.folder)):
            lines = lines.replace(word, str(value))
        self.path.write_text(
            f'admin = "none"\naccess_log = {{path = ""}}\n{lines}\n'
            f'[[tls.certificate]]\ncert = "{issued().cert}"\nkey = "{issued().key}"\n{"".join(map(self.table, known))}'
        )


@ensureDeferred
async def test_a_redirect() -> None:
    """From the listener without TLS to the one with it, where the same is answered."""
    listen = 'listen = ["tcp:PORT:interface=127.0.0.1", "ssl:OTHER:interface=127.0.0.1"]\n[tls]\nredirect = true'
    async with Told(listen) as world:
        sent = await ask(world.port, "/v1/models", method="GET")
        assert (sent.status, sent.body) == (308, b"")
        assert sent.headers["location"] == f"https://gateway:{world.other}/v1/models"
        assert (await ask(world.port, CHAT, chat())).status == 308
        assert (await ask(world.port, "/healthz", method="GET")).status == 200
        assert (await ask(world.other, CHAT, chat(), tls=believing())).status == 200


@ensureDeferred
async def test_endpoints_of_other_kinds() -> None:
    """A Unix socket speaks TLS, too, where C{[tls]} names it."""
    async with Told('listen = []\n[tls]\nlisten = ["unix:FOLDER/gateway.sock"]') as world:

        def through_it() -> bytes:
            with socket.socket(socket.AF_UNIX) as plain:
                plain.connect(str(world.folder / "gateway.sock"))
                context = ssl.create_default_context(cafile=authority().path)
                with context.wrap_socket(plain, server_hostname="localhost") as peer:
                    peer.sendall(b"GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
                    return b"".join(iter(lambda: peer.recv(4096), b""))

        assert b" 200 OK\r\n" in await deferToThread(through_it)
