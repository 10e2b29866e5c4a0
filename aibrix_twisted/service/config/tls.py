"""What no type can say of the settings of TLS: their files are read, and held together."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Final

from aibrix_twisted.domain.replica_url import ReplicaUrl
from aibrix_twisted.domain.settings import CertificateSettings, ReplicaTlsSettings, TlsSettings
from aibrix_twisted.service.config.locate import Path as Place
from aibrix_twisted.service.config.pem import PemFault, check_authorities, read_credentials

#: A name or an address.
_HOST: Final = re.compile(r"[A-Za-z0-9._-]+|[0-9A-Fa-f:.]+")


def tls_faults(tls: TlsSettings) -> Iterator[tuple[Place, str]]:
    """C{[tls]}."""
    for index, certificate in enumerate(tls.certificate):
        yield from certificate_faults(("tls", "certificate", index), certificate)
    if tls.listen and not tls.certificate:
        yield ("tls", "listen"), "found listeners, expected [[tls.certificate]] for them"
    if tls.client_auth != "none" and not tls.client_ca:
        yield ("tls", "client_auth"), f"found {tls.client_auth!r}, expected client_ca beside it"
    elif tls.client_auth == "none" and tls.client_ca:
        yield ("tls", "client_ca"), f"found {tls.client_ca!r}, expected client_auth beside it: optional or required"
    elif tls.client_ca:
        yield from _faults(("tls",), lambda: check_authorities("client_ca", tls.client_ca))


def certificate_faults(place: Place, certificate: CertificateSettings) -> Iterator[tuple[Place, str]]:
    """C{[[tls.certificate]]}."""
    return _faults(place, lambda: read_credentials(certificate.cert, certificate.key, certificate.chain))


def replica_tls_faults(place: Place, tls: ReplicaTlsSettings, url: ReplicaUrl | None) -> Iterator[tuple[Place, str]]:
    """C{[replica.tls]}.

    @param url: the replica's; C{None}: it cannot be read.
    """
    if url is not None and not url.secure:
        yield place, "found it for a URL that begins with http://, expected https://"
    if tls.insecure and tls.ca:
        yield (*place, "insecure"), "found true beside ca, expected one of the two"
    if bool(tls.cert) != bool(tls.key):
        there, lacks = ("cert", "key") if tls.cert else ("key", "cert")
        yield (*place, there), f"found it without {lacks}, expected both or none"
    elif tls.cert:
        yield from _faults(place, lambda: read_credentials(tls.cert, tls.key))
    if tls.ca:
        yield from _faults(place, lambda: check_authorities("ca", tls.ca))
    if tls.server_name and _HOST.fullmatch(tls.server_name) is None:
        yield (*place, "server_name"), f"found {tls.server_name!r}, expected the name of a host"


def _faults(place: Place, check: Callable[[], object]) -> Iterator[tuple[Place, str]]:
    try:
        check()
    except PemFault as fault:
        yield (*place, fault.key), str(fault)
