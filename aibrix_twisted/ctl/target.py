"""Where the admin API is: a URL or a Unix socket, taken apart once."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPSConnection
from urllib.parse import urlsplit

_EXPECTED = "expected http://host:port, https://host:port or unix:/path"


@dataclass(frozen=True, slots=True)
class Target:
    """An admin listener.

    @ivar said: as the operator wrote it, for messages.
    @ivar scheme: C{http}, C{https} or C{unix}.
    @ivar address: the host, IPv6 without brackets, or the socket's path.
    @ivar port: C{None} is the scheme's own.
    @ivar prefix: of every path, without a slash at its end.
    """

    said: str
    scheme: str
    address: str
    port: int | None = None
    prefix: str = ""

    def connection(self, timeout_s: float) -> HTTPConnection:
        """A connection that is opened by its first request.  No proxy of the environment is asked.

        @param timeout_s: for the connect, and between two reads.
        """
        if self.scheme == "unix":
            return _UnixConnection(self.address, timeout_s)
        kind = HTTPSConnection if self.scheme == "https" else HTTPConnection
        return kind(self.address, self.port, timeout=timeout_s)


class _UnixConnection(HTTPConnection):
    """HTTP on a Unix socket."""

    def __init__(self, path: str, timeout_s: float) -> None:
        super().__init__("localhost", timeout=timeout_s)
        self._path = path

    def connect(self) -> None:
        """Open the socket.

        @raise OSError: nobody listens there.
        """
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def target_of(text: str) -> Target:
    """Take a URL apart.

    @raise ValueError: it is none of those that are known; says what was expected.
    """
    if text.startswith("unix:") and len(text) > len("unix:"):
        return Target(text, "unix", text.removeprefix("unix:"))
    try:
        parts = urlsplit(text)
        host, port = parts.hostname or "", parts.port
        host.encode("idna")  # as the socket will: a UnicodeError is a ValueError
    except ValueError as error:
        raise ValueError(f"{_EXPECTED} ({error})") from None
    if parts.scheme not in ("http", "https") or not host:
        raise ValueError(_EXPECTED)
    if parts.username is not None or parts.query or parts.fragment:
        raise ValueError(f"{_EXPECTED}, with no user, query or fragment")
    return Target(text, parts.scheme, host, port, parts.path.rstrip("/"))
