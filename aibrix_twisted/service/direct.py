"""The direct way between a connection's socket and its protocol, and the inmost loop of
L{aibrix_twisted.service.reactor}.

They are a room of their own because they are compiled, as classes that derive from Twisted's cannot be.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from select import EPOLLIN
from typing import Any, Final

from twisted.internet.main import CONNECTION_DONE, CONNECTION_LOST
from twisted.python import log

#: A name of ours, for what is imported is looked up at each use.
_READABLE: Final[int] = EPOLLIN


class Direct:
    """Of one connection, as long as it is plain: a read is a C{recv}, and a write that finds nothing waiting is a
    C{send}.

    @ivar fd: the socket's descriptor, while it is open.
    @ivar transport: Twisted's, whose affair is whatever is not plain.
    @ivar unsent: a write is Twisted's affair, too: something waits to be sent, or to be closed once it is, for which
        Twisted arms the poller, and disarms it after; or a pull producer waits to be asked, which happens when Twisted
        has sent; or TLS lies between; or there is no connection any more.
    """

    def __init__(self, transport: Any) -> None:
        self.fd: int = transport.fileno()
        self.transport = transport
        self.unsent = False
        self._bytes: int = transport.bufferSize
        self._recv: Callable[[int], bytes] = transport.socket.recv
        self._send: Callable[[bytes], int] = transport.socket.send
        self._received: Callable[[bytes], None] = transport.protocol.dataReceived

    def read(self) -> Any:
        """As L{twisted.internet.tcp.Connection.doRead}, in one frame.  HOT.

        @return: why the connection is lost; C{None}: it is not.
        """
        try:
            data = self._recv(self._bytes)
        except OSError as error:
            return None if error.errno == errno.EWOULDBLOCK else CONNECTION_LOST
        if not data:
            return CONNECTION_DONE
        self._received(data)
        return None

    def write(self, data: bytes) -> None:
        """Send now what the socket takes now, and leave the rest to Twisted.  HOT."""
        if self.unsent:
            self.transport.write_later(data)
            return
        try:
            sent = self._send(data)
        except OSError:  # would block, or an error that the loop will meet again when it sends
            sent = 0
        if sent != len(data):
            self.transport.write_later(data[sent:] if sent else data)


def read_each(
    ready: list[tuple[int, int]],
    directs: dict[int, Direct],
    selectables: dict[int, Any],
    otherwise: Callable[[Any, int, int], None],
    lost: Callable[[Any, Any, bool], None],
) -> None:
    """Handle the events of one turn.  HOT.

    @param ready: descriptors, and what they are ready for, as C{epoll} says it.
    @param directs: of the connections that are plain, and read from.
    @param selectables: all that is waited for.
    @param otherwise: told of whoever is ready for more than to be read.
    @param lost: told of whoever is to be disconnected, with the reason.
    """
    for fd, event in ready:
        direct = directs.get(fd) if event == _READABLE else None
        selectable = selectables.get(fd) if direct is None else direct.transport
        if selectable is None:  # one handled just before has closed it
            continue
        if event != _READABLE:
            otherwise(selectable, fd, event)
            continue
        try:
            why = selectable.doRead() if direct is None else direct.read()
        except BaseException as error:  # noqa: BLE001 - as Twisted: logged, and this connection is lost
            log.err()
            why = error
        if why:
            lost(selectable, why, True)
