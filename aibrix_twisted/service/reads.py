"""Reading from whatever is readable: the inmost loop of L{aibrix_twisted.service.reactor}.

It is a room of its own because it is compiled, as classes that derive from Twisted's cannot be.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from select import EPOLLIN
from typing import Any

from twisted.internet.main import CONNECTION_DONE, CONNECTION_LOST
from twisted.python import log


def read(connection: Any) -> Any:
    """As L{twisted.internet.tcp.Connection.doRead}, in one frame.  HOT.

    @return: why the connection is lost; C{None}: it is not.
    """
    try:
        data = connection.socket.recv(connection.bufferSize)
    except OSError as error:
        return None if error.errno == errno.EWOULDBLOCK else CONNECTION_LOST
    if not data:
        return CONNECTION_DONE
    connection.protocol.dataReceived(data)
    return None


def read_each(
    ready: list[tuple[int, int]],
    selectables: dict[int, Any],
    plain: type,
    otherwise: Callable[[Any, int, int], None],
    lost: Callable[[Any, Any, bool], None],
) -> None:
    """Handle the events of one turn.  HOT.

    @param ready: descriptors, and what they are ready for, as C{epoll} says it.
    @param plain: of this kind are connections of which C{read} can read.
    @param otherwise: told of whoever is ready for more than to be read.
    @param lost: told of whoever is to be disconnected, with the reason.
    """
    for fd, event in ready:
        selectable = selectables.get(fd)
        if selectable is None:  # one handled just before has closed it
            continue
        if event != EPOLLIN:
            otherwise(selectable, fd, event)
            continue
        try:
            why = read(selectable) if isinstance(selectable, plain) else selectable.doRead()
        except BaseException as error:  # noqa: BLE001 - as Twisted: logged, and this connection is lost
            log.err()
            why = error
        if why:
            lost(selectable, why, True)
