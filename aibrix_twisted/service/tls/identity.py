"""Who is it?  The name that a client's certificate gives it."""

from __future__ import annotations

from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.hashes import SHA256

#: Longer ones are cut: they are in every line of the access log.
MAX_CHARACTERS: Final = 256


#: What is raised by certificates that OpenSSL reads and C{cryptography} does not.
UNREADABLE: Final = (
    ValueError,
    TypeError,
    UnsupportedAlgorithm,
    x509.InvalidVersion,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
)


def visible(said: str) -> str:
    """What others say, fit for lines of text: neither a line end nor what a terminal would obey."""
    return "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in said)


def identity_of(certificate: x509.Certificate) -> str:
    """The identity that an authority vouches for.

    The URI of its C{subjectAltName}, where it has exactly one (an X.509 SVID of SPIFFE has); else its subject as
    RFC 4514 writes it; else its first DNS name or mail address; else its fingerprint.
    """
    names = _alternatives(certificate)
    uris = [name.value for name in names if isinstance(name, x509.UniformResourceIdentifier)]
    others = [name.value for name in names if isinstance(name, (x509.DNSName, x509.RFC822Name))]
    said = uris[0] if len(uris) == 1 else certificate.subject.rfc4514_string() or "".join(others[:1])
    return visible(said[:MAX_CHARACTERS]) or f"sha256:{certificate.fingerprint(SHA256()).hex()}"


def _alternatives(certificate: x509.Certificate) -> list[x509.GeneralName]:
    try:
        return list(certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
    except (x509.ExtensionNotFound, *UNREADABLE):
        return []
