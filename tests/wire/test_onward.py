"""Which headers go on."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.wire.onward import HOP_BY_HOP, onward


def passed(*headers: tuple[bytes, bytes], own: frozenset[bytes] = HOP_BY_HOP) -> bytes:
    """What goes on of these."""
    return onward(list(headers), {name.lower(): value for name, value in headers}, own)


class OnwardTests(SynchronousTestCase):
    """Hop-by-hop headers stay on their hop (RFC 9110 §7.6.1)."""

    def test_hop_by_hop_and_named(self) -> None:
        """Those of the list, in any case, and those that Connection names."""
        self.assertEqual(
            passed(
                (b"Keep-Alive", b"1"),
                (b"TE", b"x"),
                (b"Connection", b"X-Secret, close"),
                (b"x-secret", b"1"),
                (b"Proxy-Authorization", b"y"),
                (b"Upgrade", b"h2c"),
                (b"X-Kept", b"v"),
                (b"Trailer", b"t"),
                (b"x-too", b""),
            ),
            b"X-Kept: v\r\nx-too: \r\n",
        )

    def test_own_in_either_spelling(self) -> None:
        """A header of ours cannot be smuggled in with an underscore."""
        own = frozenset({b"x-request-id"})
        self.assertEqual(
            passed((b"X-Request-Id", b"1"), (b"X_Request_Id", b"2"), (b"a_b", b"3"), own=own), b"a_b: 3\r\n"
        )
