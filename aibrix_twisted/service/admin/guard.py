"""Who may change something through the admin listener?

Whoever is on this host; from elsewhere, whoever has the token.  A browser on this host speaks for whatever page it
shows, so what such a page asks for is refused: it says from where it comes.
"""

from __future__ import annotations

from collections.abc import Callable
from hmac import compare_digest
from ipaddress import ip_address
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address
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
        origin, host = request.getHeader("origin"), request.getHeader("host")
        if origin is not None and origin.partition("://")[2] != host:
            raise Denied(403, f"changes are not taken from pages of {origin}", "foreign_origin")
        if _is_local(request.getHost()):
            return
        token = self._token()
        if not token:
            raise Denied(
                403, "changes are taken from this host only: [admin_auth] token_file would allow others", "no_token"
            )
        kind, _, given = (request.getHeader("authorization") or "").partition(" ")
        if kind.lower() != "bearer" or not compare_digest(given.strip().encode(), token.encode()):
            raise Denied(401, "changes need the admin token: authorization: Bearer TOKEN", "invalid_admin_token")


def _is_local(address: Any) -> bool:
    """Whether only this host can reach the address: loopback, or a Unix socket."""
    if isinstance(address, (IPv4Address, IPv6Address)):
        return ip_address(address.host.partition("%")[0]).is_loopback
    return True
