"""TLS for a whole run of end-to-end tests: C{AIBRIX_TEST_TLS=1}, in front of the gateway and behind it."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from functools import cache
from typing import Any

from OpenSSL import SSL
from twisted.internet import reactor
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator, IOpenSSLServerConnectionCreator
from twisted.protocols.tls import TLSMemoryBIOFactory, TLSMemoryBIOProtocol
from zope.interface import implementer

from aibrix_twisted.domain.settings import ReplicaTlsSettings
from tests.authority import Authority, Issued
from tests.service.tls.peer import showing, trusting

#: All that is said in this run is said over TLS.
SECURE = os.environ.get("AIBRIX_TEST_TLS") == "1"

SCHEME = "https" if SECURE else "http"

#: What a table of a replica has beside its URL, where nobody knows whose certificate it will show.
TLS_LINE = "tls = {insecure = true}\n" if SECURE else ""
TLS_TABLE: dict[str, Any] = {"tls": {"insecure": True}} if SECURE else {}
TLS_SETTINGS = ReplicaTlsSettings(insecure=True) if SECURE else None


@cache
def authority() -> Authority:
    """The one that everybody believes in."""
    folder = tempfile.mkdtemp(prefix="aibrix-tls-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Authority(folder)


@cache
def issued() -> Issued:
    """What gateways and engines show."""
    return authority().issue("localhost", "127.0.0.1", "::1")


@implementer(IOpenSSLClientConnectionCreator, IOpenSSLServerConnectionCreator)
class With:
    """Makes connections of one context.

    @ivar made: how many.
    """

    def __init__(self, context: SSL.Context, name: str = "", session: Any = None) -> None:
        self._context, self._name, self._session = context, name, session
        self.made: list[SSL.Connection] = []

    def clientConnectionForTLS(self, protocol: Any) -> SSL.Connection:
        """A client's."""
        connection = SSL.Connection(self._context)
        if self._name:
            connection.set_tlsext_host_name(self._name.encode())
        if self._session is not None:
            connection.set_session(self._session)
        self.made.append(connection)
        return connection

    def serverConnectionForTLS(self, protocol: Any) -> SSL.Connection:
        """A server's."""
        connection = SSL.Connection(self._context)
        self.made.append(connection)
        return connection


def believing() -> With:
    """A client of what L{issued} is shown by."""
    return With(trusting(authority()))


def client_factory(factory: Any, creator: Any) -> TLSMemoryBIOFactory:
    """A client's, with TLS."""
    return TLSMemoryBIOFactory(creator, True, factory, reactor)


def listens_with_tls(engine: Any, creator: With | None = None) -> With:
    """Have an engine speak TLS wherever it listens from now on."""
    creator = creator or With(showing(issued()))
    factory = TLSMemoryBIOFactory(creator, False, engine.factory, reactor)
    factory.protocol = TLSMemoryBIOProtocol  # the other one waits a turn before it writes

    def listen(port: int = 0, interface: str = "127.0.0.1") -> Any:
        listening = engine.clock.listenTCP(port, factory, backlog=1024, interface=interface)
        engine._ports.append(listening)
        return listening

    engine.listen = listen
    return creator
