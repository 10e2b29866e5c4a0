"""What a process finds in its environment."""

from __future__ import annotations

import socket

from twisted.internet import endpoints
from twisted.python.systemd import ListenFDs
from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.service.process.inherited import (
    PASSED,
    SOCKETS,
    Activated,
    Inheritance,
    handed_down,
    stored_name,
    take_inheritance,
)


class InheritanceTests(SynchronousTestCase):
    """Of systemd, and of a process of ours."""

    def setUp(self) -> None:
        self.open = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
        for each in self.open:
            self.addCleanup(each.close)
        self.numbers = [each.fileno() for each in self.open]

    def passed(self, *named: tuple[str, int]) -> None:
        """By systemd; Twisted has read it already."""
        found = ListenFDs([number for _, number in named], [name for name, _ in named])
        self.patch(endpoints._SystemdParser, "_sddaemon", found)

    def test_nothing(self) -> None:
        """As most are started."""
        self.passed()
        self.assertEqual(take_inheritance({}), Inheritance())

    def test_of_systemd(self) -> None:
        """Those that it opened, and those that it kept for us, by the names that we gave; what does not listen is none."""
        one, two = self.numbers
        with socket.socket() as deaf:
            self.passed(("data", one), (stored_name("tcp/::1/80"), two), ("deaf", deaf.fileno()), ("gone", 10**6))
            environ = {"LISTEN_FDNAMES": "x", "HOME": "/"}
            found = take_inheritance(environ)
        kept = {"tcp/::1/80": two}
        self.assertEqual(found, Inheritance((Activated("data", one),), kept, frozenset(kept)))
        self.assertEqual(environ, {"HOME": "/"})

    def test_of_a_parent(self) -> None:
        """It wins, and what systemd said to the parent is not heard."""
        one, two = self.numbers
        self.passed(("data", one))
        self.open[0].set_inheritable(True)
        ours = {"tcp//8080": two}
        environ = {SOCKETS: handed_down([(f"{PASSED}data", one), ("tcp//8080", two)])}
        self.assertEqual(take_inheritance(environ), Inheritance((Activated("data", one),), ours, frozenset(ours)))
        self.assertEqual(environ, {})
        self.assertFalse(self.open[0].get_inheritable())

    def test_names_that_systemd_takes(self) -> None:
        """At most 255 characters, none of them a colon."""
        self.assertNotIn(":", stored_name("tcp/::1/80"))
        self.assertEqual(len(stored_name("unix/" + "é" * 300)), 255)
