"""Certificates and their keys, in files in PEM: read, held together, and every fault named."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from OpenSSL import SSL


class PemFault(Exception):
    """A file cannot be used.  C{str()} says what was found and what was expected.

    @ivar key: the setting that names the file.
    """

    def __init__(self, key: str, what: str) -> None:
        super().__init__(what)
        self.key = key


@dataclass(frozen=True, slots=True)
class Credentials:
    """A certificate and its key.

    @ivar path: of the certificate's file.
    @ivar chain: the certificate, and after it those that lead to its authority.
    @ivar key: a private key of C{cryptography}'s.
    """

    path: str
    chain: tuple[x509.Certificate, ...]
    key: Any

    @property
    def leaf(self) -> x509.Certificate:
        """The certificate itself."""
        return self.chain[0]

    def is_over(self, now: datetime) -> bool:
        """It has expired."""
        return self.leaf.not_valid_after_utc <= now

    def doubts(self, now: datetime) -> list[str]:
        """What does not keep it from being used, but may keep others from believing it; for people."""
        found = []
        if self.is_over(now):
            found.append(f"{self.path}: the certificate has expired on {_day(self.leaf.not_valid_after_utc)}")
        elif self.leaf.not_valid_before_utc > now:
            found.append(f"{self.path}: the certificate is not valid before {_day(self.leaf.not_valid_before_utc)}")
        for number, (below, above) in enumerate(zip(self.chain, self.chain[1:], strict=False), 1):
            if below.issuer != above.subject:
                found.append(
                    f"{self.path}: certificate {number} is issued by {_said(below.issuer)}, and the one after it is "
                    f"{_said(above.subject)}: clients may find no way from it to an authority"
                )
        return found


def read_credentials(cert: str, key: str, chain: str = "") -> Credentials:
    """Read a certificate and its key.

    @param chain: a file with what leads to its authority, where that is not in the first.
    @raise PemFault: they cannot be used; C{key} is C{cert}, C{key} or C{chain}.
    """
    certificates = read_certificates("cert", cert)
    if chain:
        certificates += read_certificates("chain", chain)
    private = _read_key(key)
    if certificates[0].public_key() != private.public_key():
        if any(other.public_key() == private.public_key() for other in certificates[1:]):
            raise PemFault("cert", f"found {cert!r}, expected the key's own certificate to be the first in it")
        raise PemFault("key", f"found {key!r}, which is not the key of the certificate in {cert!r}")
    credentials = Credentials(cert, certificates, private)
    try:
        show(credentials, SSL.Context(SSL.TLS_METHOD))
    except SSL.Error as error:
        raise PemFault("cert", f"found {cert!r}, which OpenSSL does not take: {_reason(error)}") from None
    return credentials


def read_certificates(key: str, path: str) -> tuple[x509.Certificate, ...]:
    """All the certificates in a file; at least one.

    @param key: the setting that names it.
    @raise PemFault: there is none.
    """
    try:
        found = tuple(x509.load_pem_x509_certificates(Path(path).read_bytes()))
        for certificate in found:  # what is broken inside is found when it is looked at
            certificate.public_key()
            certificate.subject, certificate.issuer, certificate.extensions  # noqa: B018
        return found
    except OSError as error:
        raise PemFault(key, f"found {path!r}, expected a file that can be read ({error.strerror})") from None
    except (ValueError, UnsupportedAlgorithm) as error:
        raise PemFault(key, f"found {path!r}, expected certificates in PEM ({error})") from None


def check_authorities(key: str, path: str) -> None:
    """See that a file has certificates of authorities.

    @raise PemFault: it has none that could be used as such.
    """
    read_certificates(key, path)
    try:
        SSL.Context(SSL.TLS_METHOD).load_verify_locations(path)
    except SSL.Error as error:
        raise PemFault(key, f"found {path!r}, which OpenSSL does not take: {_reason(error)}") from None


def show(credentials: Credentials, context: SSL.Context) -> None:
    """Have a context show these.

    @raise SSL.Error: OpenSSL takes them to be too weak, for instance.
    """
    context.use_certificate(credentials.leaf)
    for certificate in credentials.chain[1:]:
        context.add_extra_chain_cert(certificate)
    context.use_privatekey(credentials.key)
    context.check_privatekey()


def _read_key(path: str) -> Any:
    try:
        return load_pem_private_key(Path(path).read_bytes(), password=None)
    except OSError as error:
        raise PemFault("key", f"found {path!r}, expected a file that can be read ({error.strerror})") from None
    except TypeError:
        raise PemFault("key", f"found {path!r}, whose key has a passphrase; expected one without") from None
    except (ValueError, UnsupportedAlgorithm) as error:
        what = str(error).splitlines()[0] if str(error) else "it is none"
        raise PemFault("key", f"found {path!r}, expected a private key in PEM ({what[:200]})") from None


def _reason(error: SSL.Error) -> str:
    said = error.args[0] if error.args else None
    return str(said[-1][-1]) if said else "it does not say why"


def _said(name: x509.Name) -> str:
    return name.rfc4514_string() or "nobody"


def _day(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"
