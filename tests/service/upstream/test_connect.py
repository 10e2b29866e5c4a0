"""Connecting: each address in turn, one outcome, or a cancel and then none."""

from __future__ import annotations

from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.service.upstream.connect import Connecting
from aibrix_twisted.service.upstream.protocol import UpstreamConnection
from tests.fakes import MemoryReactor


class Resolution:
    """One under way."""

    cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class ConnectingTests(SynchronousTestCase):
    """Over every way for it to go."""

    def begin(self, host: str) -> Connecting:
        """Start."""
        self.reactor: Any = MemoryReactor()
        self.reactor.nameResolver = self
        self.resolved: Any = None
        self.outcomes: list[Any] = []
        connecting = Connecting(
            self.reactor,
            host,
            1,
            2.0,
            lambda made, unmade: UpstreamConnection(self, ("x", 1, None), made, unmade),
            self.outcomes.append,
            lambda why, *, refused, tls: self.outcomes.append((why, refused)),
        )
        connecting.start()
        return connecting

    def lost(self, connection: UpstreamConnection) -> None:
        """In the pool's place."""

    def resolveHostName(self, receiver: Any, host: str, port: int) -> None:
        """In the resolver's place."""
        self.resolved = receiver
        self.resolution = Resolution()
        receiver.resolutionBegan(self.resolution)

    def test_an_address(self) -> None:
        """No name is asked for."""
        for host in ("192.0.2.1", "2001:db8::1"):
            self.begin(host)
            self.assertIsNone(self.resolved)
            connection, _ = self.reactor.connects[0].made()
            self.assertEqual(self.outcomes, [connection])

    def test_several_addresses_in_turn(self) -> None:
        """The next where one refuses; the last one's reason where all do."""
        for refusals in (0, 1, 2, 3):
            self.begin("gpu0")
            for number in range(3):
                self.resolved.addressResolved(IPv4Address("TCP", f"192.0.2.{number}", 1))
            self.resolved.addressResolved("something else")
            self.resolved.resolutionComplete()
            for _ in range(refusals):
                self.reactor.connects[-1].refused()
            if refusals == 3:
                self.assertEqual(len(self.outcomes), 1)
                self.assertIn("refused", str(self.outcomes[0]))
            else:
                connection, _ = self.reactor.connects[-1].made()
                self.assertEqual(self.outcomes, [connection])
            self.assertEqual(len(self.reactor.connects), min(3, refusals + 1))

    def test_no_address(self) -> None:
        """Said so."""
        self.begin("gpu0")
        self.resolved.resolutionComplete()
        self.assertEqual(self.outcomes, [("gpu0 has no address", False)])

    def test_late_is_not_refused(self) -> None:
        """One address that does not answer at all, and it may be that the host is only slow."""
        for first, second, refused in ((True, False, False), (False, True, False), (False, False, True)):
            self.begin("gpu0")
            for number in range(2):
                self.resolved.addressResolved(IPv4Address("TCP", f"192.0.2.{number}", 1))
            self.resolved.resolutionComplete()
            for late in (first, second):
                self.reactor.connects[-1].refused(late=late)
            self.assertEqual([outcome[1] for outcome in self.outcomes], [refused])

    def test_cancelled_in_every_state(self) -> None:
        """While the name is asked for, while it connects, and afterwards: no outcome follows."""
        connecting = self.begin("gpu0")
        connecting.cancel()
        self.assertTrue(self.resolution.cancelled)
        self.resolved.addressResolved(IPv6Address("TCP", "2001:db8::1", 1))
        self.resolved.resolutionComplete()
        self.assertEqual((self.outcomes, self.reactor.connects), ([], []))
        connecting = self.begin("192.0.2.1")
        connecting.cancel()
        self.assertTrue(self.reactor.connects[0].stopped)
        self.reactor.connects[0].refused()
        self.reactor.connects[0].made()
        self.assertEqual(self.outcomes, [])
