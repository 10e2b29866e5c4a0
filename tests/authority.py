"""An authority that issues certificates to tests, of every kind, and some that are wrong."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

NOW = datetime.now(UTC)


@dataclass(frozen=True)
class Issued:
    """A certificate and its key, in files.

    @ivar cert: the path of the certificate, with what leads to the authority after it.
    @ivar key: the path of its key.
    """

    cert: str
    key: str
    certificate: x509.Certificate
    private: Any


class Authority:
    """Signs; with C{above}, as one that another has signed."""

    def __init__(self, folder: Path | str, name: str = "Test Authority", above: Authority | None = None) -> None:
        self.folder = Path(folder)
        self.name = name
        self.above = above
        self._count = 0
        self.private = ec.generate_private_key(ec.SECP256R1())
        signer, issuer = (self.private, _called(name)) if above is None else (above.private, _called(above.name))
        self.certificate = (
            _begun(_called(name), issuer, self.private.public_key(), NOW - timedelta(days=2), NOW + timedelta(days=60))
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(signer, hashes.SHA256())
        )
        self.path = str(self.folder / f"{name.replace(' ', '-')}.pem")
        Path(self.path).write_bytes(_pem(self.certificate))

    def issue(
        self,
        *names: str,
        subject: str = "",
        client: bool = False,
        days: tuple[float, float] = (-1, 30),
        weak: bool = False,
        uris: tuple[str, ...] = (),
        whole: bool = True,
        rsa_key: bool = False,
    ) -> Issued:
        """A certificate for hosts, addresses or a client.

        @param days: from when until when it is valid, counted from now.
        @param weak: with a key that is too short.
        @param uris: names of that kind.
        @param whole: the file has what leads to the authority, too.
        @param rsa_key: with a key of RSA's, instead of an elliptic curve's.
        """
        self._count += 1
        private: Any = ec.generate_private_key(ec.SECP256R1())
        if weak or rsa_key:
            private = rsa.generate_private_key(65537, 1024 if weak else 2048)
        kinds = [x509.UniformResourceIdentifier(uri) for uri in uris] + [_name(name) for name in names]
        begun = _begun(
            _called(subject), _called(self.name), private.public_key(),
            NOW + timedelta(days=days[0]), NOW + timedelta(days=days[1]),
        )  # fmt: skip
        if kinds:
            begun = begun.add_extension(x509.SubjectAlternativeName(kinds), critical=False)
        purpose = ExtendedKeyUsageOID.CLIENT_AUTH if client else ExtendedKeyUsageOID.SERVER_AUTH
        begun = begun.add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
        certificate = begun.sign(self.private, hashes.SHA256())
        stem = self.folder / f"{self.name.replace(' ', '-')}-{self._count}"
        chain = _pem(certificate)
        authority: Authority | None = self
        while whole and authority is not None and authority.above is not None:
            chain += _pem(authority.certificate)
            authority = authority.above
        return written(f"{stem}.pem", f"{stem}.key", chain, certificate, private)


def written(cert: str, key: str, chain: bytes, certificate: x509.Certificate, private: Any) -> Issued:
    """Into files."""
    Path(cert).write_bytes(chain)
    Path(key).write_bytes(
        private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return Issued(cert, key, certificate, private)


def _begun(
    subject: x509.Name, issuer: x509.Name, key: Any, begins: datetime, ends: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(ends)
    )


def _called(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)] if name else [])


def _name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)
