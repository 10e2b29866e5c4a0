"""The listeners that speak TLS, and their certificates: read at the start, replaced while they listen."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

from OpenSSL import SSL
from twisted.internet.interfaces import IOpenSSLServerConnectionCreator, IProtocolFactory
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from zope.interface import implementer

from aibrix_twisted.domain.settings import CertificateSettings, Settings, TlsSettings
from aibrix_twisted.service.config.load import ConfigError
from aibrix_twisted.service.config.pem import Credentials, PemFault, read_credentials
from aibrix_twisted.service.config.secure_endpoint import Door, door, doors
from aibrix_twisted.service.owned import log_failure_of
from aibrix_twisted.service.tls.contexts import listener_context
from aibrix_twisted.service.tls.transport import TlsFactory

_log = Logger()

#: The contexts are made anew as often as this, and with them the keys of tickets.
RENEW_S: Final = 12 * 3600.0


_Context = tuple[Door, SSL.Context]


@implementer(IOpenSSLServerConnectionCreator)
class _Newest:
    """Gives each new connection of a listener the newest context."""

    def __init__(self, context: SSL.Context) -> None:
        self.context = context

    def serverConnectionForTLS(self, protocol: Any) -> SSL.Connection:
        """A client is here."""
        return SSL.Connection(self.context)


class Doors:
    """All listeners of one gateway.

    @ivar clients: for clients.
    @ivar admin: the admin listener; C{None}: there is none.
    """

    def __init__(self, clock: Any, settings: Settings, wall: Callable[[], float]) -> None:
        """
        @param wall: seconds since 1970.
        @raise ConfigError: a certificate cannot be used.
        """
        self._clock = clock
        self._wall = wall
        self._settings = settings.tls
        self.clients = doors(settings)
        self.admin = None if settings.admin == "none" else door(settings.admin)
        everything = (*self.clients, *(() if self.admin is None else (self.admin,)))
        self._secure = [each for each in everything if each.secure]
        self._read = self._credentials(settings)
        contexts = self._contexts(settings.tls, self._read)
        self._newest = {each.said: _Newest(context) for each, context in contexts}
        self._call = LoopingCall(self._renew)
        self._call.clock = clock
        self._doubt()

    @property
    def port(self) -> int | None:
        """That of the first listener for clients that speaks TLS, where it says one."""
        said = [each.endpoint.split(":")[1].removeprefix("port=") for each in self.clients if each.secure]
        return next((int(port) for port in said if port.isdecimal()), None)

    @property
    def expires(self) -> float | None:
        """When the first of the certificates in use expires, in seconds since 1970; C{None}: there are none."""
        return min((each.leaf.not_valid_after_utc.timestamp() for each in self._read.values()), default=None)

    def factory(self, each: Door, factory: IProtocolFactory) -> IProtocolFactory:
        """The factory for a listener, with TLS beneath it where it speaks that."""
        return TlsFactory(self._newest[each.said], factory, self._clock) if each.secure else factory

    def start(self) -> None:
        """Clients are served.  Begin to renew the keys of tickets."""
        for each in self.clients:
            said = f"{each.endpoint}, with TLS" if each.secure else each.endpoint
            _log.info("serving clients on {said}", said=said)
        log_failure_of(self._call.start(RENEW_S, now=False), "renewing the keys of TLS tickets")

    def stop(self) -> None:
        """Stop."""
        if self._call.running:
            self._call.stop()

    def reloaded(self, settings: Settings) -> Callable[[], None]:
        """Read the certificates of these settings, for the listeners that there are.

        @return: takes them, for handshakes that begin from then on, and tells of listeners that have changed.
        @raise ConfigError: one cannot be used, or is new and has expired.
        """
        read = self._credentials(settings)
        now, in_use = self._now(), {each.leaf for each in self._read.values()}
        over = [each for each in read.values() if each.is_over(now) and each.leaf not in in_use]
        if over:
            raise ConfigError([f"{each.doubts(now)[0]}, expected one that has not" for each in over])
        contexts = self._contexts(settings.tls, read)

        def take() -> None:
            self._tell_of_other_doors(settings)
            self._settings, self._read = settings.tls, read
            self._use(contexts)
            self._doubt()

        return take

    def _credentials(self, settings: Settings) -> dict[CertificateSettings, Credentials]:
        """Every certificate of a listener, by what the settings say of it."""
        own = [each.certificate for each in self._secure if each.certificate is not None]
        shared = settings.tls.certificate if any(each.certificate is None for each in self._secure) else ()
        read, problems = {}, []
        for wanted in dict.fromkeys((*shared, *own)):
            try:
                read[wanted] = read_credentials(wanted.cert, wanted.key, wanted.chain)
            except PemFault as fault:
                problems.append(f"tls: {fault.key}: {fault}")
        if problems:
            raise ConfigError(problems)
        return read

    def _contexts(self, settings: TlsSettings, read: dict[CertificateSettings, Credentials]) -> list[_Context]:
        """A context for each listener.  One that has no certificates in these settings keeps what it has."""
        shared = [read[wanted] for wanted in settings.certificate if wanted in read]
        made = []
        try:
            for each in self._secure:
                shown = shared if each.certificate is None else [read[each.certificate]]
                if shown:
                    made.append((each, listener_context(shown, settings)))
        except PemFault as fault:
            raise ConfigError([f"tls.{fault.key}: {fault}"]) from None
        except SSL.Error as error:
            raise ConfigError([f"tls: OpenSSL does not take what is in its files: {error}"]) from None
        return made

    def _use(self, contexts: list[_Context]) -> None:
        for each, context in contexts:
            self._newest[each.said].context = context

    def _tell_of_other_doors(self, settings: Settings) -> None:
        """Whoever has changed them should know when that takes effect."""
        admin = None if settings.admin == "none" else settings.admin
        for name, are, wanted in (
            ("listen", [each.said for each in self.clients], [each.said for each in doors(settings)]),
            ("admin", None if self.admin is None else self.admin.said, admin),
        ):
            if are != wanted:
                _log.warn("{name} has changed: that takes effect at the next start", name=name)

    def _doubt(self) -> None:
        for each in self._read.values():
            for doubt in each.doubts(self._now()):
                _log.warn("{doubt}", doubt=doubt)

    def _renew(self) -> None:
        """The same certificates in new contexts, which have new keys."""
        try:
            self._use(self._contexts(self._settings, self._read))
        except ConfigError as error:  # the clients' authorities are read from their file again
            _log.error("the keys of TLS tickets are not renewed: {error}", error=str(error))

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._wall(), UTC)
