"""A line between two of our processes, parent and child: whole messages, in order, and the end of the other one.

A pair of Unix sockets that keep messages apart (SOCK_SEQPACKET); it is nowhere in a file system.
"""

from __future__ import annotations

import socket
from collections import deque
from collections.abc import Callable
from typing import Any, Final

import orjson
from twisted.internet.interfaces import IReadDescriptor, IReadWriteDescriptor
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

_log = Logger()

#: No message is longer: the system takes some 200 KB at once.
MAX_BYTES: Final = 160_000

#: Messages that wait for the other side; more are lost, and it is said.
_WAITING: Final = 1000

Words = dict[str, Any]


def pair() -> tuple[socket.socket, socket.socket]:
    """Both ends."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


@implementer(IReadDescriptor, IReadWriteDescriptor)
class Link:
    """One end."""

    def __init__(
        self, reactor: Any, end: socket.socket, heard: Callable[[Words], None], gone: Callable[[], None]
    ) -> None:
        """
        @param heard: a message came.
        @param gone: the other process has closed its end, or is over.  Called once.
        """
        end.setblocking(False)
        end.set_inheritable(False)
        self._reactor = reactor
        self._end = end
        self._heard = heard
        self._gone = gone
        self._unsent: deque[bytes] = deque()
        self._lost = False
        reactor.addReader(self)

    def send(self, words: Words) -> None:
        """Tell the other process.  One that is gone is told nothing."""
        message = orjson.dumps(words)
        if self._lost:
            return
        if len(message) > MAX_BYTES or len(self._unsent) >= _WAITING:
            _log.error("a message of {size} bytes to another process is lost", size=len(message))
            return
        self._unsent.append(message)
        if len(self._unsent) == 1:
            self.doWrite()

    def hear_out(self) -> None:
        """The other process is over: hear what it said last, and hang up."""
        for _ in range(_WAITING):
            if not self._lost:
                self.doRead()
        self.close()

    def close(self) -> None:
        """Hang up.  C{gone} is not called."""
        if not self._lost:
            self._lost = True
            self._reactor.removeReader(self)
            self._reactor.removeWriter(self)
            self._end.close()

    # -- for the reactor -------------------------------------------------------------------------------------

    def fileno(self) -> int:
        """See L{twisted.internet.interfaces.IFileDescriptor}."""
        return self._end.fileno()

    def logPrefix(self) -> str:
        """See L{twisted.internet.interfaces.ILoggingContext}."""
        return "link"

    def doRead(self) -> None:
        """A message, or the end."""
        try:
            message = self._end.recv(MAX_BYTES)
        except BlockingIOError:
            return
        except OSError:
            message = b""
        if message:
            self._heard(orjson.loads(message))
        else:
            self._end_of_it()

    def doWrite(self) -> None:
        """What waits."""
        while self._unsent:
            try:
                self._end.send(self._unsent[0])
            except BlockingIOError:
                self._reactor.addWriter(self)
                return
            except OSError:
                break  # reading says that it is gone
            self._unsent.popleft()
        self._unsent.clear()
        self._reactor.removeWriter(self)

    def connectionLost(self, reason: Failure) -> None:
        """From the reactor: it is broken, or the reactor stops."""
        self._end_of_it()

    def _end_of_it(self) -> None:
        if not self._lost:
            self.close()
            self._gone()
