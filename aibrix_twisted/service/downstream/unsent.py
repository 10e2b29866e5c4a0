"""What lies between us and a client: what it has yet to take, and what we have yet to read."""

from __future__ import annotations

from array import array
from fcntl import ioctl
from termios import FIONREAD, TIOCOUTQ
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
    return waiting + _asked(transport, TIOCOUTQ)


def unread_bytes(transport: Any) -> int:
    """What has come and was not read, in bytes; 0 for a transport that is not Twisted's own on a socket."""
    return _asked(transport, FIONREAD) if hasattr(transport, "fileno") else 0


def _asked(transport: Any, question: int) -> int:
    answer = array("i", [0])
    try:
        ioctl(transport.fileno(), question, answer)
    except OSError:  # it is no socket any more
        return 0
    return answer[0]
