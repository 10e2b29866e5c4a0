"""The other side of TLS in memory: OpenSSL itself, on both ends of a wire of which a test sees every byte."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from OpenSSL import SSL

from aibrix_twisted.domain.settings import CertificateSettings, ReplicaTlsSettings, TlsSettings
from tests.authority import Authority, Issued
from tests.fakes import Wire


class TlsWire(Wire):
    """Breaks off as Twisted's sockets do: C{connectionLost} comes in the reactor's next turn, and here with C{lose}."""

    def abortConnection(self) -> None:
        self.aborted = True


class Peer:
    """Who speaks TLS with a transport of ours, over its L{Wire}.

    @ivar got: what was said to it.
    @ivar good_bye: it was told that no more will come.
    @ivar error: why TLS failed, as OpenSSL says it here.
    """

    def __init__(self, protocol: Any, wire: Wire, context: SSL.Context, *, name: str = "", client: bool = True) -> None:
        self._protocol, self._wire = protocol, wire
        self.tls = SSL.Connection(context)
        if client:
            self.tls.set_connect_state()
        else:
            self.tls.set_accept_state()
        if name:
            self.tls.set_tlsext_host_name(name.encode())
        self.got = b""
        self.good_bye = False
        self.error = ""

    def pump(self) -> Peer:
        """Until nobody has anything to say any more."""
        for _ in range(20):
            self._step()
            sent = self._sent()
            if sent and self._wire.protocol is not None:
                self._protocol.dataReceived(sent)
            came = self._wire.take()
            if came:
                self.tls.bio_write(came)
            if not (sent or came):
                break
        return self

    def say(self, data: bytes) -> Peer:
        """Send, and hear what is said to it."""
        self.tls.send(data)
        return self.pump()

    def leave(self) -> Peer:
        """Say good-bye."""
        self.tls.shutdown()
        return self.pump()

    def _step(self) -> None:
        try:
            self.tls.do_handshake()
            while True:
                self.got += self.tls.recv(65536)
        except SSL.WantReadError:
            pass
        except SSL.ZeroReturnError:
            self.good_bye = True
        except SSL.Error as error:
            self.error = self.error or str(error)

    def _sent(self) -> bytes:
        try:
            return self.tls.bio_read(1 << 20)
        except SSL.WantReadError:
            return b""


def trusting(
    authority: Authority, shown: Issued | None = None, *, versions: tuple[int, int] | None = None
) -> SSL.Context:
    """A client's context: believes in an authority, and may have a certificate."""
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    context.load_verify_locations(authority.path)
    context.set_verify(SSL.VERIFY_PEER)
    if shown is not None:
        context.use_certificate_chain_file(shown.cert)
        context.use_privatekey_file(shown.key)
    if versions is not None:
        context.set_min_proto_version(versions[0])
        context.set_max_proto_version(versions[1])
    return context


def showing(shown: Issued, *, wants: Authority | None = None) -> SSL.Context:
    """An engine's context: shows a certificate, and may want one."""
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    context.use_certificate_chain_file(shown.cert)
    context.use_privatekey_file(shown.key)
    context.set_session_id(b"engine")
    if wants is not None:
        context.load_verify_locations(wants.path)
        context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT)
    return context


def certificates(*issued: Issued) -> tuple[CertificateSettings, ...]:
    """As C{[[tls.certificate]]} has them."""
    return tuple(CertificateSettings(cert=one.cert, key=one.key) for one in issued)


def tls(*issued: Issued, **more: Any) -> TlsSettings:
    """C{[tls]}."""
    return TlsSettings(certificate=certificates(*issued), **more)


def to_replica(authority: Authority, **more: Any) -> ReplicaTlsSettings:
    """C{[replica.tls]}."""
    return ReplicaTlsSettings(ca=authority.path, **more)


def folder_of(case: Any) -> Path:
    """A new one, for a test's certificates."""
    place = tempfile.TemporaryDirectory()
    case.addCleanup(place.cleanup)
    return Path(place.name)
