"""Datagrams to a service manager."""

from __future__ import annotations

import array
import os
import socket
import tempfile
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.service.process.notify import Notifier, manager_address, watchdog_s


class NotifierTests(SynchronousTestCase):
    """Over a pair of sockets."""

    def setUp(self) -> None:
        self.manager, channel = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(self.manager.close)
        self.manager.setblocking(False)
        self.notifier = Notifier(channel)
        self.addCleanup(self.notifier.close)

    def test_a_message(self) -> None:
        """A line for each word, in order; a word cannot break out of its line."""
        self.notifier.tell({"READY": 1, "STATUS": "one\nWATCHDOG=trigger\r\ntwo"})
        self.assertEqual(self.manager.recv(4096), b"READY=1\nSTATUS=one WATCHDOG=trigger two")

    def test_descriptors(self) -> None:
        """They go along with it."""
        with tempfile.TemporaryFile() as file:
            file.write(b"kept")
            file.flush()
            self.notifier.tell({"FDSTORE": 1}, (file.fileno(),))
        message, ((_, kind, value),), _, _ = self.manager.recvmsg(4096, socket.CMSG_SPACE(4))
        self.assertEqual((message, kind), (b"FDSTORE=1", socket.SCM_RIGHTS))
        with os.fdopen(array.array("i", value)[0], "rb") as received:
            received.seek(0)
            self.assertEqual(received.read(), b"kept")

    def test_a_manager_that_is_busy(self) -> None:
        """Nobody waits for it; what it could not take comes first, and in order."""
        sent = 0
        while not self.notifier._unsent:
            self.notifier.tell({"STATUS": sent})
            sent += 1
        self.notifier.tell({"STATUS": sent})
        read = []
        for _ in range(sent - 1):
            read.append(self.manager.recv(4096))
        self.notifier.tell({"STATUS": "last"})
        for _ in range(3):
            read.append(self.manager.recv(4096))
        self.assertEqual(read, [b"STATUS=%d" % number for number in range(sent + 1)] + [b"STATUS=last"])

    def test_a_manager_that_is_gone(self) -> None:
        """Is no reason to fail."""
        self.manager.close()
        self.notifier.tell({"READY": 1})
        self.assertFalse(self.notifier._unsent)

    def test_nobody(self) -> None:
        """Nothing is said to nobody."""
        for address in ("", str(Path(tempfile.gettempdir(), "nobody-listens-here"))):
            nobody = Notifier.to(address)
            self.assertFalse(nobody.heard)
            nobody.tell({"READY": 1})
            nobody.close()


class EnvironmentTests(SynchronousTestCase):
    """What a manager says to the process that it starts."""

    def test_addresses(self) -> None:
        """A path, a name without one, or what we do not know."""
        for said, address in (("/run/x", "/run/x"), ("@x", "\0x"), ("vsock:1:2", ""), ("x", "")):
            self.assertEqual(manager_address({"NOTIFY_SOCKET": said}), address)
        self.assertEqual(manager_address({}), "")

    def test_watchdog(self) -> None:
        """For this process, or for whoever has it."""
        mine = str(os.getpid())
        self.assertEqual(watchdog_s({"WATCHDOG_USEC": "2500000", "WATCHDOG_PID": mine}), 2.5)
        self.assertEqual(watchdog_s({"WATCHDOG_USEC": "2500000"}), 2.5)
        for wrong in ({}, {"WATCHDOG_USEC": "0"}, {"WATCHDOG_USEC": "x"}, {"WATCHDOG_USEC": "1", "WATCHDOG_PID": "1"}):
            self.assertIsNone(watchdog_s(wrong), wrong)
