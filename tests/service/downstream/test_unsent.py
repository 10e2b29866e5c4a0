"""What a client has yet to take, of a transport and of the system's socket beneath it."""

from __future__ import annotations

import socket

from twisted.internet.abstract import FileDescriptor
from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.service.downstream.unsent import unsent_bytes
from tests.fakes import Wire


class Held(FileDescriptor):
    """A transport whose socket takes so many bytes at once."""

    def __init__(self, sock: socket.socket, takes: int) -> None:
        super().__init__(object())  # type: ignore[arg-type]
        self._socket = sock
        self._takes = takes
        self.fileno = sock.fileno  # type: ignore[method-assign]
        self.connected = True  # type: ignore[assignment]

    def startWriting(self) -> None:
        """There is no reactor."""

    def stopWriting(self) -> None:
        """There is no reactor."""

    def writeSomeData(self, data: bytes) -> int:
        return self._socket.send(data[: self._takes])


class UnsentTests(SynchronousTestCase):
    """What is not taken."""

    def setUp(self) -> None:
        self.ours, self.theirs = socket.socketpair()
        self.addCleanup(self.ours.close)
        self.addCleanup(self.theirs.close)

    def test_the_buffer_and_the_system(self) -> None:
        """Both together, as long as there is something in the buffer; less when the client reads."""
        transport = Held(self.ours, 1000)
        self.assertEqual(unsent_bytes(transport), 0)
        transport.write(b"x" * 3000)
        self.assertEqual(unsent_bytes(transport), 3000)
        transport.doWrite()
        before = unsent_bytes(transport)
        self.assertGreaterEqual(before, 3000)  # the system counts its own of a Unix socket, too
        self.theirs.recv(1000)
        self.assertEqual(unsent_bytes(transport), 2000)
        transport._takes = 5000
        transport.doWrite()
        self.assertEqual(unsent_bytes(transport), 0)
        self.assertGreaterEqual(unsent_bytes(transport, beneath=True), 2000)

    def test_no_socket(self) -> None:
        """A transport without one, or with one that is closed, is asked for its buffer only."""
        self.assertEqual(unsent_bytes(Wire()), 0)
        transport = Held(self.ours, 1000)
        transport.write(b"x" * 10)
        self.ours.close()
        transport.fileno = lambda: 1 << 20  # type: ignore[method-assign]
        self.assertEqual(unsent_bytes(transport), 10)
