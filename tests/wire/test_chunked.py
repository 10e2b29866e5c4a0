"""Chunked bodies of requests."""

from __future__ import annotations

import h11
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.wire.chunked import ChunkedBody
from aibrix_twisted.wire.head import BadMessage
from tests.cuts import every_cut, every_two_cuts


def read(pieces: list[bytes], max_bytes: int = 1000) -> tuple[bytes, bytes]:
    """The body, and what follows it."""
    parser, body, rest = ChunkedBody(max_bytes=max_bytes), b"", b""
    for piece in pieces:
        if parser.done:
            rest += piece
        else:
            fed = parser.feed(piece)
            assert all(fed), "an empty piece"
            body += b"".join(fed)
    parser.finish()
    return body, parser.rest + rest


class ChunkedBodyTests(SynchronousTestCase):
    """Read however they are cut, refused whatever is wrong."""

    WHOLE = b"3\r\nabc\r\nA;x=y\r\n0123456789\r\n0\r\nt: v\r\n\r\nGET /"

    def test_every_cut(self) -> None:
        """The same body and the same rest at every cut."""
        for pieces in every_cut(self.WHOLE):
            self.assertEqual(read(pieces), (b"abc0123456789", b"GET /"), pieces)
        for pieces in every_two_cuts(b"2;q\r\nab\r\n0\r\n\r\nX"):
            self.assertEqual(read(pieces), (b"ab", b"X"), pieces)

    def test_bad_ones_at_every_cut(self) -> None:
        """Each is refused, whatever the cuts, before anything of a next request is believed."""
        for raw in (
            b"3\nabc\r\n0\r\n\r\n",
            b"3\r\nabcd\r\n0\r\n\r\n",
            b"3\r\nabc\n0\r\n\r\n",
            b"0x3\r\nabc\r\n0\r\n\r\n",
            b"+3\r\nabc\r\n0\r\n\r\n",
            b" 3\r\nabc\r\n0\r\n\r\n",
            b"3 \r\nabc\r\n0\r\n\r\n",
            b"\r\nabc\r\n0\r\n\r\n",
            b"3;a\x00\r\nabc\r\n0\r\n\r\n",
            b"3;a\nb\r\nabc\r\n0\r\n\r\n",
            b"0\r\nbad trailer\r\n\r\n",
            b"0\r\nt: v\n\r\n",
            b"FFFFFFFFFFFFFFFF\r\n",
        ):
            for pieces in every_cut(raw):
                self.assertRaises(BadMessage, read, pieces)

    def test_caps(self) -> None:
        """The body, extensions, trailers and lines each have one."""
        self.assertEqual(self.assertRaises(BadMessage, read, [b"5\r\nabcde\r\n0\r\n\r\n"], 4).status, 413)
        self.assertRaises(BadMessage, read, [b"1;" + b"x" * 2000])
        self.assertRaises(BadMessage, read, [(b"1;" + b"x" * 1000 + b"\r\na\r\n") * 20])
        self.assertRaises(BadMessage, read, [b"0\r\n" + b"t: v\r\n" * 3000 + b"\r\n"])

    def test_cut_short(self) -> None:
        """An end before the last chunk is no end."""
        for end in range(len(self.WHOLE) - len(b"GET /")):
            self.assertEqual(self.assertRaises(BadMessage, read, [self.WHOLE[:end]]).reason, "cut")

    @given(st.lists(st.binary(min_size=1, max_size=20), max_size=6), st.randoms(use_true_random=False))
    def test_what_h11_writes_is_read(self, chunks: list[bytes], lot) -> None:  # type: ignore[no-untyped-def]
        """Any body that another implementation frames, cut anywhere."""
        client = h11.Connection(h11.CLIENT)
        client.send(h11.Request(method="POST", target="/", headers=[("host", "a"), ("transfer-encoding", "chunked")]))
        raw = b"".join(client.send(h11.Data(data=chunk)) or b"" for chunk in chunks)
        raw += client.send(h11.EndOfMessage()) or b""
        at = lot.randrange(len(raw))
        self.assertEqual(read([raw[:at], raw[at:]] if at else [raw]), (b"".join(chunks), b""))
