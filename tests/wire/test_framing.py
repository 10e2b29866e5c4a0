"""Writing heads."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.wire.framing import header_lines, response_head


class HeadTests(SynchronousTestCase):
    """What a head is made of."""

    def test_head(self) -> None:
        """Lines, and the empty one."""
        lines = header_lines([(b"a", b"b"), (b"c", b"")])
        self.assertEqual(response_head(200, b"OK", lines), b"HTTP/1.1 200 OK\r\na: b\r\nc: \r\n\r\n")
