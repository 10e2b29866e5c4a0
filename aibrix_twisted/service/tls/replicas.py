"""TLS towards replicas: whom to believe, what to show, and sessions that are resumed."""

from __future__ import annotations

from typing import Any, Final

from cryptography import x509
from OpenSSL import SSL
from OpenSSL.crypto import X509
from service_identity.exceptions import CertificateError, VerificationError
from service_identity.hazmat import DNS_ID, IPAddress_ID, ServiceID, verify_service_identity
from service_identity.pyopenssl import extract_patterns
from twisted.internet.abstract import isIPAddress, isIPv6Address
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator
from twisted.python.failure import Failure
from zope.interface import implementer

from aibrix_twisted.domain.replica import Replica
from aibrix_twisted.domain.settings import ReplicaTlsSettings
from aibrix_twisted.service.config.pem import PemFault, read_credentials, show
from aibrix_twisted.service.tls.contexts import ALPN, base_context, names_of
from aibrix_twisted.service.tls.failed import TlsFailed, say_why
from aibrix_twisted.service.tls.identity import UNREADABLE, visible

#: Names of a certificate that are told of one that is for others.
_MAX_SAID: Final = 5


@implementer(IOpenSSLClientConnectionCreator)
class ReplicaTls:
    """For connections to one replica.

    OpenSSL verifies the certificate's way to an authority, its dates and its purpose; that it is for this host is seen
    to here.  A session that is resumed is one whose certificate was verified.
    """

    def __init__(self, settings: ReplicaTlsSettings, host: str) -> None:
        """@raise TlsFailed: a file cannot be used any more."""
        name = settings.server_name or host
        self._is_address = isIPAddress(name) or isIPv6Address(name)
        self._name = name if self._is_address else name.rstrip(".").lower()
        self._context = self._made(settings)
        self._session: SSL.Session | None = None

    def clientConnectionForTLS(self, protocol: Any) -> SSL.Connection:
        """A new one."""
        connection = SSL.Connection(self._context)
        if not self._is_address:  # RFC 6066 §3: addresses are not said
            connection.set_tlsext_host_name(self._name.encode("ascii"))
        if self._session is not None:
            connection.set_session(self._session)
        return connection

    def remember(self, connection: SSL.Connection | None) -> None:
        """Resume what this one has by now, the next time; the tickets of TLS 1.3 come after the handshake."""
        if connection is not None:
            self._session = connection.get_session()

    def _made(self, settings: ReplicaTlsSettings) -> SSL.Context:
        context = base_context(SSL.TLS_CLIENT_METHOD, "1.2")
        context.set_alpn_protos([ALPN])
        try:
            if settings.ca:
                context.load_verify_locations(settings.ca)
            elif not settings.insecure:
                context.set_default_verify_paths()
            if settings.cert:
                show(read_credentials(settings.cert, settings.key), context)
        except PemFault as fault:
            raise TlsFailed(f"tls.{fault.key}: {fault}") from None
        except SSL.Error as error:
            raise TlsFailed(f"tls.ca: {settings.ca}: OpenSSL does not take it: {error}") from None
        if settings.insecure:
            context.set_verify(SSL.VERIFY_NONE)
        else:
            context.set_verify(SSL.VERIFY_PEER, self._verify)
        return context

    def _verify(self, connection: SSL.Connection, certificate: X509, number: int, depth: int, ok: int) -> bool:
        """From OpenSSL, for each certificate from the authority's to the replica's own."""
        if not say_why(connection, certificate, number, depth, ok):
            return False
        if depth:
            return True
        wanted: ServiceID = IPAddress_ID(self._name) if self._is_address else DNS_ID(self._name)
        try:
            verify_service_identity(extract_patterns(certificate), [wanted], [])
        except (VerificationError, CertificateError, *UNREADABLE):
            said = _for_whom(certificate)
            reason = TlsFailed(f"certificate verify failed: it is for {said}, and not for {self._name}")
            connection.get_app_data().failVerification(Failure(reason))
            return False
        return True


class ReplicasTls:
    """What there is for each replica, made when it is first needed."""

    def __init__(self) -> None:
        self._made: dict[tuple[ReplicaTlsSettings, str, int], ReplicaTls] = {}

    def of(self, replica: Replica) -> ReplicaTls | None:
        """C{None}: it is spoken to without TLS.

        @raise TlsFailed: a file of its settings cannot be used any more.
        """
        if replica.tls is None:
            return None
        key = replica.tls, replica.host, replica.port
        made = self._made.get(key)
        if made is None:
            made = self._made[key] = ReplicaTls(replica.tls, replica.host)
        return made

    def renew(self) -> None:
        """Files may have changed: read them again."""
        self._made.clear()


def _for_whom(shown: X509) -> str:
    try:
        certificate = shown.to_cryptography()
        names = names_of(certificate)
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        names += [str(address) for address in extension.value.get_values_for_type(x509.IPAddress)]
    except x509.ExtensionNotFound:
        pass
    except UNREADABLE:
        return "names that cannot be read"
    more = f" and {len(names) - _MAX_SAID} more" if len(names) > _MAX_SAID else ""
    return (visible(", ".join(names[:_MAX_SAID])) or "nobody") + more
