"""Sockets that outlive a process: opened, found again, handed on.  They are real; the reactor is not."""

from __future__ import annotations

import os
import socket
import tempfile
from pathlib import Path
from typing import Any

from twisted.internet.error import CannotListenError
from twisted.internet.protocol import Factory
from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.service.process.inherited import Activated, Inheritance
from aibrix_twisted.service.process.sockets import Sockets, open_tcp


class Port:
    """What a reactor makes of a socket."""

    def __init__(self, descriptor: int, family: int, factory: Any) -> None:
        self.socket = socket.socket(fileno=os.dup(descriptor))
        self.addressFamily = family
        self.factory = factory
        self.connected = True
        self.reads = 0
        self._bindPath = b"a path"

    def doRead(self) -> None:
        self.reads += 1


class Reactor:
    """Makes them."""

    def __init__(self) -> None:
        self.ports: list[Any] = []

    def adoptStreamPort(self, descriptor: int, family: int, factory: Any) -> Port:
        self.ports.append(Port(descriptor, family, factory))
        return self.ports[-1]

    def addReader(self, port: Any) -> None:
        """One that is Twisted's own listens."""
        self.ports.append(port)


class SocketsTestCase(SynchronousTestCase):
    """A reactor, and what is to be closed."""

    def setUp(self) -> None:
        self.reactor = Reactor()
        self.addCleanup(lambda: [port.socket.close() for port in self.reactor.ports])

    def sockets(self, inherited: Inheritance | None = None) -> Sockets:
        """Of a process that has inherited these."""
        made = Sockets(self.reactor, inherited)
        self.addCleanup(made.close)
        return made

    def listen(self, sockets: Sockets, description: str) -> Any:
        """As the daemon does.

        @return: the newest port.
        """
        sockets.service(description, Factory()).privilegedStartService()
        return self.reactor.ports[-1]


class TcpTests(SocketsTestCase):
    """C{tcp:}, C{ssl:} and what systemd opened for the same address."""

    def test_one_is_opened(self) -> None:
        """It listens, does not block, is not inherited by just anyone, and can be handed on."""
        sockets = self.sockets()
        port = self.listen(sockets, "tcp:0:interface=127.0.0.1")
        ((key, held),) = sockets.opened.items()
        self.assertEqual(key, "tcp/127.0.0.1/0")
        self.assertEqual(port.socket.getsockname(), held.getsockname())
        self.assertEqual((held.getblocking(), held.get_inheritable()), (False, False))
        self.assertEqual(sockets.to_hand_on(), [(key, held.fileno())])

    def test_one_that_is_taken(self) -> None:
        """Is named."""
        with socket.create_server(("127.0.0.1", 0)) as taken:
            number = taken.getsockname()[1]
            error = self.assertRaises(
                CannotListenError, self.listen, self.sockets(), f"tcp:{number}:interface=127.0.0.1"
            )
        self.assertIn(str(number), str(error))

    def test_one_that_was_handed_on(self) -> None:
        """Is listened on; what it is for is found by what is configured; what is for nothing is closed."""
        first, spare = (socket.create_server(("127.0.0.1", 0)) for _ in range(2))
        address = first.getsockname()
        sockets = self.sockets(Inheritance((), {"tcp/127.0.0.1/80": first.detach(), "tcp//81": spare.detach()}))
        port = self.listen(sockets, "tcp:80:interface=127.0.0.1")
        self.assertEqual(port.socket.getsockname(), address)
        self.assertEqual(sockets.drop_spares(), ["tcp//81"])
        self.assertEqual(sockets.drop_spares(), [])

    def test_closing_them(self) -> None:
        """Whoever waits is accepted before; afterwards nobody holds them."""
        sockets = self.sockets()
        port = self.listen(sockets, "tcp:0:interface=127.0.0.1")
        sockets.take_waiting()
        self.assertEqual(port.reads, 1)
        port.connected = False
        sockets.take_waiting()
        self.assertEqual(port.reads, 1)
        sockets.close()
        self.assertEqual(sockets.opened, {})

    def test_shared(self) -> None:
        """Several of one user may listen there, if each of them says so."""
        with open_tcp(0, 50, "127.0.0.1", shared=True) as one:
            number = one.getsockname()[1]
            open_tcp(number, 50, "127.0.0.1", shared=True).close()
            self.assertRaises(CannotListenError, open_tcp, number, 50, "127.0.0.1")


class PassedTests(SocketsTestCase):
    """By systemd."""

    def setUp(self) -> None:
        super().setUp()
        opened = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
        self.addresses = [each.getsockname() for each in opened]
        self.passed = [Activated(name, each.detach()) for name, each in zip(("data", "more"), opened, strict=True)]
        self.addCleanup(lambda: [os.close(each.descriptor) for each in self.passed])

    def test_by_name_and_by_index(self) -> None:
        """As Twisted spells it; they are handed on, and are not ours to keep."""
        sockets = self.sockets(Inheritance(tuple(self.passed)))
        for description, wanted in (("systemd:domain=INET:name=more", 1), ("systemd:domain=INET:index=0", 0)):
            port = self.listen(sockets, description)
            self.assertEqual(port.socket.getsockname(), self.addresses[wanted])
        self.assertEqual(sockets.opened, {})
        expected = [(f"systemd/{each.name}", each.descriptor) for each in self.passed]
        self.assertEqual(sockets.to_hand_on(), expected)

    def test_by_address(self) -> None:
        """Whatever it is called: nobody else could listen there."""
        sockets = self.sockets(Inheritance(tuple(self.passed)))
        port = self.listen(sockets, f"tcp:{self.addresses[1][1]}:interface=127.0.0.1")
        self.assertEqual(port.socket.getsockname(), self.addresses[1])
        self.assertEqual(sockets.opened, {})

    def test_what_is_not_there(self) -> None:
        """Is named, with what is; and so is what cannot be understood."""
        sockets = self.sockets(Inheritance(tuple(self.passed)))
        for description, said in (
            ("systemd:domain=INET:name=x", "no socket of the name 'x'; it passed: data, more"),
            ("systemd:domain=INET:index=2", "no socket number 2"),
            ("systemd:domain=INET", "expected systemd:domain=INET:index=0, or name=NAME"),
            ("systemd:domain=INET:index=x", "expected systemd:"),
        ):
            self.assertIn(said, str(self.assertRaises(ValueError, sockets.service, description, Factory())))


class UnixTests(SocketsTestCase):
    """C{unix:}."""

    def setUp(self) -> None:
        super().setUp()
        place = tempfile.TemporaryDirectory()
        self.addCleanup(place.cleanup)
        self.path = Path(place.name, "s")

    def test_what_is_left_behind(self) -> None:
        """A name without anybody behind it is taken; one with somebody is not, and nor is a file."""
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(str(self.path))
        self.listen(self.sockets(), f"unix:{self.path}:mode=600")
        self.assertEqual(self.path.stat().st_mode & 0o777, 0o600)
        self.assertRaises(CannotListenError, self.listen, self.sockets(), f"unix:{self.path}")
        self.path.unlink()
        self.path.write_text("mine")
        self.assertRaises(CannotListenError, self.listen, self.sockets(), f"unix:{self.path}")
        self.assertEqual(self.path.read_text(), "mine")

    def mode(self) -> int:
        """Who may connect."""
        return self.path.stat().st_mode & 0o777

    def test_who_may_connect(self) -> None:
        """Whoever the endpoint says, at no time anybody else; also where the socket was here before, and its mode another."""
        seen: list[int] = []
        chmod = os.chmod
        self.patch(os, "chmod", lambda path, mode: (chmod(path, mode), seen.append(self.mode())))
        sockets = self.sockets()
        self.listen(sockets, f"unix:{self.path}:mode=600")
        self.assertEqual((set(seen), self.mode()), ({0o600}, 0o600))
        descriptor = os.dup(sockets.opened[f"unix/{self.path}"].fileno())
        later = self.sockets(Inheritance(ours={f"unix/{self.path}": descriptor}))
        self.listen(later, f"unix:{self.path}:mode=660")
        self.assertEqual(self.mode(), 0o660)
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(self.path))

    def test_who_may_connect_to_what_systemd_opened(self) -> None:
        """Whoever its unit says (C{SocketMode=})."""
        with socket.socket(socket.AF_UNIX) as opened:
            opened.bind(str(self.path))
            opened.listen()
            self.path.chmod(0o620)
            sockets = self.sockets(Inheritance(activated=(Activated("data", os.dup(opened.fileno())),)))
            self.listen(sockets, "systemd:domain=UNIX:index=0")
            self.assertEqual(self.mode(), 0o620)

    def test_nobody_listens(self) -> None:
        """Where sockets are only held: its mode is right, and the port that is not there can be closed."""
        sockets = Sockets(None)
        self.addCleanup(sockets.close)
        service = sockets.service(f"unix:{self.path}:mode=600", Factory())
        service.privilegedStartService()
        self.assertEqual((self.mode(), list(sockets.opened), self.reactor.ports), (0o600, [f"unix/{self.path}"], []))
        sockets.take_waiting()
        self.successResultOf(service.stopService())

    def test_an_abstract_name(self) -> None:
        """Is no file's, so there is no mode."""
        name = f"\0aibrix-{os.getpid()}-{self.path}"
        sockets = self.sockets()
        sockets.listenUNIX(name, Factory())
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(name)

    def test_handing_it_on(self) -> None:
        """Its name stays: it is another's now."""
        sockets = self.sockets()
        port = self.listen(sockets, f"unix:{self.path}")
        sockets.hand_on()
        self.assertEqual((port._bindPath, sockets.opened), (b"", {}))
