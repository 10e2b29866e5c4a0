"""Words for a service manager: one datagram each, as sd_notify(3) has them.

None of the libraries for it passes descriptors along, or speaks over a socket that was inherited, which is how our own
processes report to each other; the protocol itself is one C{send}.
"""

from __future__ import annotations

import array
import contextlib
import os
import socket
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Final

#: A manager that takes nothing is not waited for; so many messages are kept for it.
_KEPT: Final = 64


def manager_address(environ: Mapping[str, str]) -> str:
    """Where the service manager listens, as C{connect} takes it; C{""}: there is none, or its address is of a kind
    that is not a Unix socket's."""
    address = environ.get("NOTIFY_SOCKET", "")
    if address.startswith("@"):
        return "\0" + address[1:]
    return address if address.startswith("/") else ""


class Notifier:
    """Tells a manager, without ever waiting for it.  What it cannot take now is sent before what is said next."""

    def __init__(self, channel: socket.socket | None) -> None:
        """@param channel: connected to the manager; C{None}: nobody listens."""
        self._channel = channel
        self._unsent: deque[tuple[bytes, Sequence[int]]] = deque(maxlen=_KEPT)
        if channel is not None:
            channel.setblocking(False)

    @classmethod
    def to(cls, address: str) -> Notifier:
        """To the manager that listens there; to nobody, where that is empty or nothing is there."""
        if not address:
            return cls(None)
        channel = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        try:
            channel.connect(address)
        except OSError:
            channel.close()
            return cls(None)
        return cls(channel)

    @property
    def heard(self) -> bool:
        """Somebody listens."""
        return self._channel is not None

    def tell(self, words: Mapping[str, str | int], descriptors: Sequence[int] = ()) -> None:
        """One message.

        @param words: its lines, in this order.
        @param descriptors: go with it.
        """
        if self._channel is None:
            return
        message = "\n".join(f"{name}={_one_line(str(word))}" for name, word in words.items())
        self._unsent.append((message.encode("utf-8", "replace"), descriptors))
        with contextlib.suppress(BlockingIOError):
            while self._unsent:
                self._send(self._channel, *self._unsent[0])
                self._unsent.popleft()

    def close(self) -> None:
        """Say nothing more."""
        channel, self._channel = self._channel, None
        if channel is not None:
            channel.close()

    @staticmethod
    def _send(channel: socket.socket, message: bytes, descriptors: Sequence[int]) -> None:
        along = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))] if descriptors else []
        try:
            channel.sendmsg([message], along)
        except BlockingIOError:
            raise
        except OSError:  # it is gone, or will not have this: it is not there for us to repair
            return


def watchdog_s(environ: Mapping[str, str]) -> float | None:
    """Within how many seconds the manager wants to hear of us, again and again (sd_watchdog_enabled(3)); C{None}: it
    does not, or it wants to hear of another process."""
    said, whom = environ.get("WATCHDOG_USEC", ""), environ.get("WATCHDOG_PID", "")
    if not said.isdecimal() or not int(said) or (whom and whom != str(os.getpid())):
        return None
    return int(said) / 1e6


def _one_line(text: str) -> str:
    return " ".join(text.splitlines())
