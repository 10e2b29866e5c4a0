"""What of TLS is spoken: versions, ciphers, tickets; and which of several certificates a client is shown.

Only what has forward secrecy and authenticated encryption: TLS 1.3 as it is, and of TLS 1.2 ECDHE with AES-GCM or
ChaCha20 (RFC 9325 §4.2).  No compression, no renegotiation, no early data.

A session is resumed by a ticket that the client keeps.  The key of tickets is OpenSSL's own and belongs to a context;
it is gone with it, so that a key that is stolen opens no more than what one generation of contexts has said.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from cryptography import x509
from cryptography.x509.oid import NameOID
from OpenSSL import SSL

from aibrix_twisted.domain.settings import TlsSettings
from aibrix_twisted.service.config.pem import Credentials, read_certificates, show
from aibrix_twisted.service.tls.failed import say_why

#: Of TLS 1.2, in OpenSSL's spelling.  Those of TLS 1.3 are all well.
CIPHERS_1_2: Final = b"ECDHE+AESGCM:ECDHE+CHACHA20"

ALPN: Final = b"http/1.1"

#: A ticket is taken for so long.
TICKET_S: Final = 7200

#: Certificates between a client's own and its authority's.
MAX_DEPTH: Final = 6

#: Sessions of one context are taken by another that has the same of these: that for another name of a listener.
_SESSION_ID: Final = b"aibrix-gateway"

_VERSIONS: Final = {"1.2": SSL.TLS1_2_VERSION, "1.3": SSL.TLS1_3_VERSION}

_VERIFIED: Final = {
    "none": SSL.VERIFY_NONE,
    "optional": SSL.VERIFY_PEER | SSL.VERIFY_CLIENT_ONCE,
    "required": SSL.VERIFY_PEER | SSL.VERIFY_CLIENT_ONCE | SSL.VERIFY_FAIL_IF_NO_PEER_CERT,
}


class NoCommonProtocol(SSL.Error):
    """A client offers protocols by ALPN, and none is HTTP/1.1: the handshake fails (RFC 7301 §3.2)."""


def base_context(method: int, min_version: str) -> SSL.Context:
    """What holds for both sides."""
    context = SSL.Context(method)
    context.set_min_proto_version(_VERSIONS[min_version])
    context.set_options(SSL.OP_NO_COMPRESSION | SSL.OP_NO_RENEGOTIATION | SSL.OP_CIPHER_SERVER_PREFERENCE)
    context.set_mode(SSL.MODE_RELEASE_BUFFERS)
    context.set_cipher_list(CIPHERS_1_2)
    context.set_verify_depth(MAX_DEPTH)
    return context


def listener_context(all_credentials: Sequence[Credentials], settings: TlsSettings) -> SSL.Context:
    """The context of a listener, which changes to that of another certificate where a client asks for its name.

    @param all_credentials: the first is for clients that ask for no name, or for one that none of them has.
    @raise SSL.Error: OpenSSL does not take something.
    @raise PemFault: C{client_ca} cannot be read any more.
    """
    default, *others = [_context_of(credentials, settings) for credentials in all_credentials]
    by_name: dict[str, SSL.Context] = {}
    for credentials, context in zip(all_credentials, (default, *others), strict=True):
        for name in names_of(credentials.leaf):
            by_name.setdefault(name, context)
    if others:
        default.set_tlsext_servername_callback(_choosing(by_name))
    return default


def names_of(certificate: x509.Certificate) -> list[str]:
    """The names of hosts that it is for, in lower case: those of its C{subjectAltName}, or, where it has none, its
    common name."""
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        said = extension.value.get_values_for_type(x509.DNSName)
    except x509.ExtensionNotFound:
        said = [str(each.value) for each in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    return [name.lower().rstrip(".") for name in said]


def found_for(name: str, by_name: dict[str, SSL.Context]) -> SSL.Context | None:
    """The one for a name: its own, or a wildcard's, which stands for one label (RFC 9525 §6.3)."""
    name = name.lower().rstrip(".")
    return by_name.get(name) or by_name.get(f"*.{name.partition('.')[2]}")


def _context_of(credentials: Credentials, settings: TlsSettings) -> SSL.Context:
    context = base_context(SSL.TLS_SERVER_METHOD, settings.min_version)
    show(credentials, context)
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    context.set_session_id(_SESSION_ID)
    context.set_timeout(TICKET_S)
    context.set_alpn_select_callback(_protocol_of)
    if settings.client_auth != "none":
        for authority in read_certificates("client_ca", settings.client_ca):
            context.add_client_ca(authority)
        context.load_verify_locations(settings.client_ca)
    context.set_verify(_VERIFIED[settings.client_auth], say_why)
    return context


def _choosing(by_name: dict[str, SSL.Context]) -> Callable[[SSL.Connection], None]:
    def choose(connection: SSL.Connection) -> None:
        asked = connection.get_servername()
        found = None if asked is None else found_for(asked.decode("latin-1"), by_name)
        if found is not None and found is not connection.get_context():
            connection.set_context(found)

    return choose


def _protocol_of(connection: SSL.Connection, offered: list[bytes]) -> bytes:
    if ALPN in offered:
        return ALPN
    raise NoCommonProtocol([("SSL routines", "", "no application protocol in common")])
