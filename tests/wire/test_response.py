"""Responses out of an engine's bytes."""

from __future__ import annotations

import h11
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.wire.head import BadMessage, Framing, ResponseHead
from aibrix_twisted.wire.response import ResponseParser
from tests.cuts import every_cut, every_two_cuts

LENGTH = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello"
CHUNKS = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\nt: v\r\n\r\n"
CLOSE = b"HTTP/1.1 200 OK\r\n\r\nhello"
INTERIM = b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n"


class Sink:
    """Collects one response."""

    def __init__(self) -> None:
        self.heads: list[ResponseHead] = []
        self.body = b""
        self.completed = 0

    def response_head(self, head: ResponseHead) -> None:
        assert not self.heads
        self.heads.append(head)

    def response_body(self, data: bytes) -> None:
        assert data and self.heads and not self.completed
        self.body += data

    def response_complete(self) -> None:
        self.completed += 1


def read(pieces: list[bytes], **limits: int) -> tuple[Sink, ResponseParser]:
    """One response."""
    sink = Sink()
    parser = ResponseParser(sink, sink.response_body, **limits)
    for piece in pieces:
        parser.feed(piece)
    return sink, parser


class ResponseParserTests(SynchronousTestCase):
    """The same head, body and end however the bytes are cut."""

    def test_every_cut(self) -> None:
        """Each framing, with and without interim heads before it."""
        for raw in (LENGTH, CHUNKS, CLOSE, INTERIM + INTERIM + LENGTH, INTERIM + CHUNKS):
            for pieces in every_cut(raw):
                sink, parser = read(pieces)
                by_close = sink.heads[0].framing is Framing.CLOSE
                self.assertEqual((len(sink.heads), sink.heads[0].status, sink.body), (1, 200, b"hello"), pieces)
                self.assertEqual((sink.completed, parser.finish(), parser.excess), (int(not by_close), True, False))
        for pieces in every_two_cuts(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n"):
            sink, _ = read(pieces)
            self.assertEqual((sink.body, sink.completed), (b"a", 1), pieces)

    def test_cut_short_is_not_finished(self) -> None:
        """Every end before the framing's own is told apart from a whole response."""
        for raw in (LENGTH, CHUNKS):
            for end in range(len(raw)):
                sink, parser = read([raw[:end]] if end else [])
                self.assertFalse(parser.finish())
                self.assertEqual(sink.completed, 0)

    def test_no_body(self) -> None:
        """Statuses and lengths that allow none are complete with their head."""
        for raw in (
            b"HTTP/1.1 204 No\r\n\r\n",
            b"HTTP/1.1 304 No\r\n\r\n",
            b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
        ):
            for pieces in every_cut(raw):
                sink, parser = read(pieces)
                self.assertEqual((sink.body, sink.completed, parser.excess), (b"", 1, False))

    def test_excess_is_seen_and_not_told(self) -> None:
        """Bytes after the end: a doubled last chunk, a second response, garbage.  One completion, no more body."""
        for raw in (LENGTH, CHUNKS, b"HTTP/1.1 204 No\r\n\r\n"):
            for more in (b"0\r\n\r\n", b"x", LENGTH):
                sink, parser = read([raw + more])
                self.assertEqual((sink.completed, parser.excess), (1, True), (raw, more))
                self.assertIn(sink.body, (b"hello", b""))
                sink, parser = read([raw, more])
                self.assertEqual((sink.completed, parser.excess), (1, True), (raw, more))

    def test_bad_chunks(self) -> None:
        """What comes before the fault was told; the fault is raised, whatever the cuts."""
        head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
        for raw in (
            b"2\r\nabX\r\n0\r\n\r\n",
            b"zz\r\nab\r\n",
            b"2\nab\n0\n\n",
            b"0x2\r\nab\r\n0\r\n\r\n",
            b"-1\r\nab\r\n",
            b"FFFFFFFFFFFFFFFFF\r\nab",
            b"2;\x00\r\nab\r\n",
        ):
            for pieces in every_cut(raw):
                self.assertRaises(BadMessage, read, [head, *pieces])
        sink = Sink()
        parser = ResponseParser(sink, sink.response_body)
        self.assertRaises(BadMessage, parser.feed, head + b"2\r\nab\r\nzz\r\n")
        self.assertEqual((sink.body, sink.completed), (b"ab", 0))

    def test_bad_heads(self) -> None:
        """Not HTTP, too large, too many interim ones, a switch of protocols: all refused."""
        for raw in (
            b"HTTQ/1.1 200 OK\r\n",
            b"SSH-2.0-x\r\n",
            b"HTTP/1.1 200 OK\nx: y\n\n",
            b"HTTP/1.1 200 OK\r\nx: " + b"y" * 70000,
            INTERIM * 9 + LENGTH,
            b"HTTP/1.1 101 Switching\r\nupgrade: x\r\n\r\n",
        ):
            self.assertEqual(self.assertRaises(BadMessage, read, [raw]).status, 502, raw[:40])

    @settings(max_examples=60)
    @given(st.lists(st.binary(min_size=1, max_size=20), max_size=6), st.booleans(), st.randoms(use_true_random=False))
    def test_what_h11_writes_is_read(self, chunks, chunked, lot) -> None:  # type: ignore[no-untyped-def]
        """Any response that another implementation writes, cut at random."""
        server = h11.Connection(h11.SERVER)
        server.receive_data(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
        server.next_event(), server.next_event()
        body = b"".join(chunks)
        framing = ("transfer-encoding", "chunked") if chunked else ("content-length", str(len(body)))
        raw = server.send(h11.Response(status_code=200, headers=[framing])) or b""
        raw += b"".join(server.send(h11.Data(data=chunk)) or b"" for chunk in chunks)
        raw += server.send(h11.EndOfMessage()) or b""
        pieces = []
        while raw:
            at = lot.randrange(1, len(raw) + 1)
            pieces.append(raw[:at])
            raw = raw[at:]
        sink, parser = read(pieces)
        self.assertEqual((sink.body, sink.completed, parser.excess), (body, 1, False))
