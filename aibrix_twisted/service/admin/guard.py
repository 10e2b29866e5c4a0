"""Who may change something through the admin listener?

Whoever is on this host; from elsewhere, whoever has the token.  A browser on this host speaks for whatever page it
shows, so what such a page asks for is refused: it says from where it comes.  A page of our own is believed without the
token only under a name that nobody else can give to this host: whoever owns C{evil.example} may have its address
changed to C{127.0.0.1} once a page of it is shown (DNS rebinding).
"""

from __future__ import annotations

from collections.abc import Callable
from hmac import compare_digest
from ipaddress import IPv6Address as IPv6
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.web.http import Request

from aibrix_twisted.service.admin.documents import Denied


class Guard:
    """Asked before each change."""

    def __init__(self, token: Callable[[], str]) -> None:
        """
        @param token: the one that counts now; empty: there is none.
        """
        self._token = token

    def __call__(self, request: Request) -> None:
        """
        @raise Denied: it may not.
        """
        origin, host = _said(request, b"origin"), _said(request, b"host")
        if origin and origin.partition("://")[2] != host:
            raise Denied(403, f"changes are not taken from pages of {origin}", "foreign_origin")
        if _is_local(request.getHost()) and (not origin or _is_our_own(host)):
            return
        token = self._token()
        if not token:
            raise Denied(
                403, "changes are taken from this host only: [admin_auth] token_file would allow others", "no_token"
            )
        kind, _, given = _said(request, b"authorization").partition(" ")
        if kind.lower() != "bearer" or not compare_digest(given.strip().encode(), token.encode()):
            raise Denied(401, "changes need the admin token: authorization: Bearer TOKEN", "invalid_admin_token")


def _said(request: Request, name: bytes) -> str:
    """A header field, whatever bytes are in it; C{""} where there is none."""
    return (request.getHeader(name) or b"").decode("latin-1")


def _is_local(address: Any) -> bool:
    """Whether only this host can reach the address: loopback, or a Unix socket."""
    if isinstance(address, (IPv4Address, IPv6Address)):
        found = ip_address(address.host.partition("%")[0])
        mapped = found.ipv4_mapped if isinstance(found, IPv6) else None
        return (mapped or found).is_loopback
    return isinstance(address, UNIXAddress)


def _is_our_own(host: str) -> bool:
    """Whether what a client calls us is C{localhost} or an address, and so nothing that a name server could change."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
        return name == "localhost" or bool(ip_address(name))
    except ValueError:
        return False
