"""Who is at the other end of a client's connection."""

from __future__ import annotations

from typing import NamedTuple


class Client(NamedTuple):
    """One client.

    @ivar address: an IP address, or C{unix}.
    @ivar identity: by its certificate; empty where it has shown none.
    @ivar secure: it speaks TLS.
    """

    address: str
    identity: str = ""
    secure: bool = False
