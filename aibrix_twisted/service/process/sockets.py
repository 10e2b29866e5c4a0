"""The sockets that the process listens on: found where it inherited them, else opened, and held to be handed on.

A listening socket that is closed takes the connections with it that wait in its queue.  So a socket is opened once, and
passed on from process to process: by systemd, by the process before, or by the supervisor.  Endpoints do not know: they
ask this, in the reactor's place, to listen.
"""

from __future__ import annotations

import contextlib
import os
import socket
import stat
from collections.abc import Mapping
from typing import Any, Final

from twisted.application.internet import StreamServerEndpointService
from twisted.internet import unix
from twisted.internet.abstract import isIPv6Address
from twisted.internet.defer import Deferred, execute
from twisted.internet.endpoints import serverFromString
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort, IStreamServerEndpoint
from zope.interface import implementer

from aibrix_twisted.service.process.inherited import PASSED, Inheritance

#: As endpoints have it where nobody says; too few for a crowd that comes at once.
_TWISTED_BACKLOG: Final = 50

#: The system bounds it (net.core.somaxconn).
BACKLOG: Final = 4096


class Sockets:
    """Those of one process, by what they listen on: C{tcp/INTERFACE/PORT}, C{unix/PATH}, C{systemd/NAME}.

    @ivar stored: which of them systemd keeps since an earlier process.
    """

    def __init__(self, reactor: Any, inherited: Inheritance | None = None, *, shared: bool = False) -> None:
        """
        @param reactor: C{None}: sockets are opened and held, but nobody listens here.
        @param shared: others listen on the same addresses, each with a queue of its own.
        """
        inherited = inherited or Inheritance()
        self._reactor = reactor
        self._shared = shared
        self._spare = dict(inherited.ours)
        self._activated = list(inherited.activated)
        self._held: dict[str, socket.socket] = {}
        self._ports: list[Any] = []
        self._passed: set[str] = set()
        self.stored = inherited.stored

    def service(self, description: str, factory: Any) -> StreamServerEndpointService:
        """Listens as a setting says, from C{privilegedStartService} on, which raises if that cannot be.

        @raise ValueError: the setting cannot be understood, or systemd passed no such socket.
        """
        passed = description.startswith("systemd:")
        endpoint = _Passed(self, description) if passed else serverFromString(self, description)
        service = StreamServerEndpointService(endpoint, factory)
        service._raiseSynchronously = True  # as strports has it
        return service

    # -- for endpoints, in the reactor's place ---------------------------------------------------------------

    def listenTCP(self, port: int, factory: Any, backlog: int = _TWISTED_BACKLOG, interface: str = "") -> Any:
        """See L{twisted.internet.interfaces.IReactorTCP}.

        @raise CannotListenError: the port is taken, or not for us.
        """
        key = f"tcp/{interface}/{port}"
        held = self._found(key)
        if held is None:
            held = self._passed_for(interface, port)
            if held is not None:
                self._passed.add(key)
        return self._adopt(key, held or open_tcp(port, backlog, interface, shared=self._shared), factory)

    def listenUNIX(
        self, address: str, factory: Any, backlog: int = _TWISTED_BACKLOG, mode: int = 0o666, wantPID: int = 0
    ) -> Any:
        """See L{twisted.internet.interfaces.IReactorUNIX}.  What a process left behind that is gone is removed.

        @raise CannotListenError: somebody listens there, or there is something else.
        """
        key = f"unix/{address}"
        backlog = BACKLOG if backlog == _TWISTED_BACKLOG else backlog
        held = self._found(key)
        if held is None:
            held = _open_unix(address, mode, backlog)
        elif _has_a_file(address):
            os.chmod(address, mode)  # it may be another one by now
        return self._adopt(key, held, factory, backlog)

    def adoptStreamPort(self, fileDescriptor: int, addressFamily: int, factory: Any) -> IListeningPort:
        """See L{twisted.internet.interfaces.IReactorSocket}."""
        port: IListeningPort = self._reactor.adoptStreamPort(fileDescriptor, addressFamily, factory)
        return port

    # -- for those who start and end processes ---------------------------------------------------------------

    @property
    def opened(self) -> Mapping[str, socket.socket]:
        """Those that are listened on and that one of us opened."""
        return {key: held for key, held in self._held.items() if key not in self._passed}

    def passed(self, name: str, index: int | None) -> int:
        """One that systemd passed.

        @return: its descriptor.
        @raise ValueError: there is none such.
        """
        activated = self._activated
        wanted = [each for each in activated if each.name == name] if index is None else activated[index : index + 1]
        if not wanted:
            has = ", ".join(each.name for each in activated) or "none"
            sought = f"of the name {name!r}" if index is None else f"number {index}"
            raise ValueError(f"systemd passed no socket {sought}; it passed: {has}")
        return wanted[0].descriptor

    def listen_passed(self, descriptor: int, factory: Any) -> Any:
        """Listen on it."""
        key = f"{PASSED}{descriptor}"
        self._passed.add(key)
        return self._adopt(key, socket.socket(fileno=os.dup(descriptor)), factory)

    def to_hand_on(self) -> list[tuple[str, int]]:
        """What a process that takes over needs: names for L{handed_down}, and descriptors here."""
        passed = [(PASSED + each.name, each.descriptor) for each in self._activated]
        return passed + [(key, held.fileno()) for key, held in self.opened.items()]

    def drop_spares(self) -> list[str]:
        """Close what was inherited and is not listened on: connections would wait there for ever.

        @return: what they were for.
        """
        spares, self._spare = self._spare, {}
        for descriptor in spares.values():
            os.close(descriptor)
        return sorted(spares)

    def take_waiting(self) -> None:
        """Accept whoever has connected already: closing would turn them away."""
        for port in self._ports:
            if port.connected:
                port.doRead()

    def hand_on(self) -> None:
        """Somebody else has them now: closing ours must not take a Unix socket's name away from it."""
        for port in self._ports:
            if port.addressFamily == socket.AF_UNIX:
                port._bindPath = b""  # Twisted removes what it finds there
        self.close()

    def close(self) -> None:
        """Hold them no more.  Ports that listen on them are not touched."""
        held, self._held = self._held, {}
        for each in held.values():
            each.close()

    # -- inside ----------------------------------------------------------------------------------------------

    def _found(self, key: str) -> socket.socket | None:
        descriptor = self._spare.pop(key, None)
        return None if descriptor is None else socket.socket(fileno=descriptor)

    def _passed_for(self, interface: str, port: int) -> socket.socket | None:
        """What systemd opened for just this address, whatever it is called."""
        for each in self._activated:
            found = socket.socket(fileno=os.dup(each.descriptor))
            if found.family in (socket.AF_INET, socket.AF_INET6) and _same(found.getsockname(), interface, port):
                return found
            found.close()
        return None

    def _adopt(self, key: str, held: socket.socket, factory: Any, backlog: int = BACKLOG) -> Any:
        held.setblocking(False)
        held.set_inheritable(False)
        self._held[key] = held
        if self._reactor is None:
            return _Unheard()
        port: Any
        if held.family == socket.AF_UNIX:
            port = _adopt_unix(self._reactor, held, factory, backlog)
        else:
            port = self._reactor.adoptStreamPort(held.fileno(), held.family, factory)
        self._ports.append(port)
        return port


class _Unheard:
    """In the place of a listening port: nobody listens here."""

    def stopListening(self) -> None:
        """It never did."""


@implementer(IStreamServerEndpoint)
class _Passed:
    """C{systemd:domain=INET:index=0}, or C{name=}, as Twisted spells it; the domain is what the socket's is."""

    def __init__(self, sockets: Sockets, description: str) -> None:
        words = dict(word.partition("=")[::2] for word in description.split(":")[1:])
        index, name = words.get("index"), words.get("name")
        if (index is None) == (name is None) or not (index or "0").isdecimal():
            raise ValueError(f"found {description!r}, expected systemd:domain=INET:index=0, or name=NAME for index=0")
        self._sockets = sockets
        self._descriptor = sockets.passed(name or "", None if index is None else int(index))

    def listen(self, factory: Any) -> Deferred[Any]:
        """See L{twisted.internet.interfaces.IStreamServerEndpoint}."""
        return execute(self._sockets.listen_passed, self._descriptor, factory)


def open_tcp(port: int, backlog: int, interface: str, *, shared: bool = False) -> socket.socket:
    """A socket that listens there.

    @param shared: others of this user may listen there, too, each with a queue of its own.
    @raise CannotListenError: the port is taken, or not for us.
    """
    opened = socket.socket(socket.AF_INET6 if isIPv6Address(interface) else socket.AF_INET, socket.SOCK_STREAM)
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        opened.bind((interface, port))
        opened.listen(BACKLOG if backlog == _TWISTED_BACKLOG else backlog)
    except OSError as error:
        opened.close()
        raise CannotListenError(interface, port, error) from None
    return opened


def _adopt_unix(reactor: Any, held: socket.socket, factory: Any, backlog: int) -> Any:
    """As C{adoptStreamPort}, which would let everybody connect, whatever the mode of its file, and few wait."""
    port = unix.Port._fromListeningDescriptor(reactor, held.fileno(), factory)
    port.backlog = backlog
    path = held.getsockname()
    if _has_a_file(path):
        port.mode = stat.S_IMODE(os.stat(path).st_mode)
    port.startListening()
    return port


def _has_a_file(address: str | bytes) -> bool:
    """Whether an address of Unix's is not one of the abstract ones, which the system gives as bytes."""
    return bool(address) and address[0] not in ("\0", 0)


def _open_unix(path: str, mode: int, backlog: int) -> socket.socket:
    opened = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        if _has_a_file(path):
            _remove_leftover(path)
        opened.bind(path)
        if _has_a_file(path):
            os.chmod(path, mode)
        opened.listen(backlog)
    except OSError as error:
        opened.close()
        raise CannotListenError(None, path, error) from None
    return opened


def _remove_leftover(path: str) -> None:
    """A socket's name that nobody listens behind."""
    with contextlib.suppress(FileNotFoundError):
        if stat.S_ISSOCK(os.stat(path).st_mode):
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
                probe.setblocking(False)
                try:
                    probe.connect(path)
                except ConnectionRefusedError:
                    os.unlink(path)
                except OSError:  # somebody is there, or nobody can tell: binding will say
                    return


def _same(bound: tuple[Any, ...], interface: str, port: int) -> bool:
    """Whether a socket is bound to what was asked for; C{""} is every address of IPv4."""
    return bool(bound[1] == port and bound[0] == (interface or "0.0.0.0"))
