"""How much of what was written to a client it has yet to take."""

from __future__ import annotations

from array import array
from fcntl import ioctl
from termios import TIOCOUTQ
from typing import Any


def buffered_bytes(transport: Any) -> int:
    """What waits in the transport's buffer, in bytes; 0 for a transport that is not Twisted's own."""
    waiting: int = getattr(transport, "_tempDataLen", 0) + len(getattr(transport, "dataBuffer", b""))
    return waiting - int(getattr(transport, "offset", 0))


def unsent_bytes(transport: Any, *, beneath: bool = False) -> int:
    """What waits to be sent, in bytes: in the transport's buffer, and with it what the system holds and the client's
    has not acknowledged (Linux: C{SIOCOUTQ} of C{tcp(7)}).

    @param beneath: ask the system, too, where the transport's buffer is empty.
    @return: 0, too, for a transport that is not Twisted's own on a socket.
    """
    waiting = buffered_bytes(transport)
    if not (waiting or beneath) or not hasattr(transport, "fileno"):
        return waiting
    held = array("i", [0])
    try:
        ioctl(transport.fileno(), TIOCOUTQ, held)
    except OSError:  # it is no socket any more
        return waiting
    return waiting + held[0]
