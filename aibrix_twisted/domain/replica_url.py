"""Where a replica is: a URL taken apart, once."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

_HOST: Final = re.compile(r"[A-Za-z0-9._-]+|[0-9A-Fa-f:.]+")
_PATH: Final = re.compile(r"(?:/[A-Za-z0-9\-._~!$&'()*+,;=:@%]*)*")


@dataclass(frozen=True, slots=True)
class ReplicaUrl:
    """An engine's address.

    @ivar host: IPv6 without brackets.
    @ivar prefix: the path, without a slash at its end.
    @ivar secure: TLS is spoken there.
    """

    host: str
    port: int
    prefix: str
    secure: bool = False

    @property
    def authority(self) -> str:
        """C{host:port}, as C{Host} says it, and as a replica is called that has no other name."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_replica_url(text: str) -> ReplicaUrl:
    """Take a URL apart.

    @raise ValueError: it is not one of C{http[s]://host[:port][/prefix]}; says what was expected.
    """
    if not (text.isascii() and text.isprintable()) or " " in text:
        raise ValueError("expected a URL of visible ASCII characters")  # urlsplit leaves out what is invisible
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:
        raise ValueError(f"expected http://host:port ({error})") from None
    if parts.scheme not in ("http", "https"):
        raise ValueError("expected a URL that begins with http:// or https://")
    if parts.username is not None or "?" in text or "#" in text:
        raise ValueError("expected http://host:port/prefix, with no user, query or fragment")
    host = parts.hostname or ""
    if _HOST.fullmatch(host) is None:
        raise ValueError("expected a host name or an address after ://")
    if _PATH.fullmatch(parts.path) is None:
        raise ValueError("expected a path of URL characters")
    secure = parts.scheme == "https"
    if port is None:
        port = 443 if secure else 80
    return ReplicaUrl(host, port, parts.path.rstrip("/"), secure)
