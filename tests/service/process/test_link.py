"""A line between two processes; here both ends are in this one, on a reactor that does what the test says."""

from __future__ import annotations

import socket
from typing import Any

from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.service.process.link import MAX_BYTES, Link, Words, pair


class Reactor:
    """Knows who wants to read and write."""

    def __init__(self) -> None:
        self.readers: set[Any] = set()
        self.writers: set[Any] = set()
        self.addReader, self.removeReader = self.readers.add, self.readers.discard
        self.addWriter, self.removeWriter = self.writers.add, self.writers.discard


class LinkTests(SynchronousTestCase):
    """One end, and the socket of the other."""

    def setUp(self) -> None:
        self.reactor = Reactor()
        ours, self.other = pair()
        self.addCleanup(self.other.close)
        self.heard: list[Words] = []
        self.gone = 0
        self.link = Link(self.reactor, ours, self.heard.append, self.hung_up)
        self.addCleanup(self.link.close)

    def hung_up(self) -> None:
        self.gone += 1

    def test_messages(self) -> None:
        """Whole, in order, in both directions."""
        self.assertEqual(self.reactor.readers, {self.link})
        for number in range(3):
            self.other.send(b'{"number":%d}' % number)
        for _ in range(3):
            self.link.doRead()
        self.link.doRead()  # there is nothing: that is no end
        self.assertEqual((self.heard, self.gone), ([{"number": 0}, {"number": 1}, {"number": 2}], 0))
        self.link.send({"a": 1})
        self.assertEqual(self.other.recv(100), b'{"a":1}')

    def test_the_other_end_is_busy(self) -> None:
        """What it cannot take waits for it, in order; the reactor says when it can."""
        sent = 0
        while not self.reactor.writers:
            self.link.send({"number": sent, "filling": "x" * 1000})
            sent += 1
        self.link.send({"number": sent})
        self.other.setblocking(False)
        read = []
        while len(read) <= sent:
            try:
                read.append(self.other.recv(MAX_BYTES))
            except BlockingIOError:
                self.link.doWrite()
        self.assertEqual(read[-1], b'{"number":%d}' % sent)
        self.assertEqual(self.reactor.writers, set())

    def test_a_message_that_is_too_long(self) -> None:
        """Is lost, and logged; the line holds."""
        self.link.send({"filling": "x" * MAX_BYTES})
        self.link.send({"a": 1})
        self.assertEqual(self.other.recv(100), b'{"a":1}')

    def test_the_other_end_is_gone(self) -> None:
        """It is said once, and nothing is sent any more."""
        self.other.close()
        self.link.send({"a": 1})
        self.link.doRead()
        self.link.send({"a": 1})
        self.link.connectionLost(Failure(ValueError()))
        self.assertEqual((self.gone, self.reactor.readers, self.reactor.writers), (1, set(), set()))

    def test_the_other_process_is_over(self) -> None:
        """What it said last is heard."""
        for number in range(3):
            self.other.send(b'{"number":%d}' % number)
        self.other.close()
        self.link.hear_out()
        self.assertEqual((len(self.heard), self.gone, self.reactor.readers), (3, 1, set()))

    def test_a_reset(self) -> None:
        """Is an end, too."""
        self.link._end.close()
        self.link._end, other = pair()
        other.close()
        self.link._end.shutdown(socket.SHUT_RDWR)
        self.link.doRead()
        self.assertEqual(self.gone, 1)

    def test_hanging_up(self) -> None:
        """The other end reads its end; nobody is told here."""
        self.link.close()
        self.link.close()
        self.assertEqual((self.other.recv(100), self.gone), (b"", 0))
