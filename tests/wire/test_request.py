"""Requests out of a client's bytes."""

from __future__ import annotations

import h11
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.wire.head import BadMessage, RequestHead
from aibrix_twisted.wire.request import RequestParser
from tests.cuts import every_cut, every_two_cuts

GET = b"GET /a HTTP/1.1\r\nhost: h\r\n\r\n"
POST = b"POST /b HTTP/1.1\r\nhost: h\r\ncontent-length: 5\r\n\r\nhello"
CHUNKS = b"POST /c HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n1;e\r\nc\r\n0\r\nt: v\r\n\r\n"


class Sink:
    """Collects requests; asks for the next when it is told to."""

    def __init__(self, *, eager: bool = True, max_bytes: int = 1000) -> None:
        self.requests: list[tuple[str, bytes, bytes]] = []
        self.eager = eager
        self.parser = RequestParser(self, max_head_bytes=400, max_line_bytes=200, max_headers=20, max_bytes=max_bytes)
        self._head: RequestHead | None = None
        self._body = b""

    def request_head(self, head: RequestHead) -> None:
        assert self._head is None
        self._head = head

    def request_body(self, data: bytes) -> None:
        assert data and self._head is not None
        self._body += data

    def request_complete(self) -> None:
        assert self._head is not None
        self.requests.append((self._head.method, self._head.path, self._body))
        self._head, self._body = None, b""

    def feed(self, data: bytes) -> None:
        self.parser.feed(data)
        while self.eager and self.parser.complete:
            self.parser.next()


def read(pieces: list[bytes]) -> list[tuple[str, bytes, bytes]]:
    """All requests."""
    sink = Sink()
    for piece in pieces:
        sink.feed(piece)
    sink.parser.finish()
    return sink.requests


class RequestParserTests(SynchronousTestCase):
    """One at a time, in order, the same however cut."""

    def test_every_cut_of_a_pipeline(self) -> None:
        """Three requests in a row, cut anywhere."""
        expected = [("GET", b"/a", b""), ("POST", b"/b", b"hello"), ("POST", b"/c", b"abc"), ("GET", b"/a", b"")]
        for pieces in every_cut(GET + POST + CHUNKS + b"\r\n" + GET):
            self.assertEqual(read(pieces), expected, pieces)
        for pieces in every_two_cuts(POST):
            self.assertEqual(read(pieces), [("POST", b"/b", b"hello")], pieces)

    def test_the_next_waits_to_be_asked_for(self) -> None:
        """Nothing of a second request is looked at, not even that it is malformed."""
        sink = Sink(eager=False)
        sink.feed(GET + b"\0garbage")
        self.assertEqual(len(sink.requests), 1)
        self.assertTrue(sink.parser.complete)
        self.assertEqual(sink.parser.pending_bytes, len(b"\0garbage"))
        self.assertRaises(BadMessage, sink.parser.next)

    def test_caps(self) -> None:
        """Head, request line and body each have their status; the bound is in the message."""
        for raw, status, reason in (
            (b"GET / HTTP/1.1\r\nhost: h\r\nx: " + b"y" * 500, 431, "head_too_large"),
            (b"GET / HTTP/1.1\r\nhost: h\r\nx: " + b"y" * 500 + b"\r\n\r\n", 431, "head_too_large"),
            (b"GET / HTTP/1.1\r\nhost: h\r\nx: " + b"y" * 201, 431, "head_too_large"),
            (b"GET / HTTP/1.1\r\nhost: h\r\nx: " + b"y" * 201 + b"\r\n\r\n", 431, "head_too_large"),
            (b"GET / HTTP/1.1\r\nhost: h\r\n" + b"x:\r\n" * 21, 431, "too_many_headers"),
            (b"GET / HTTP/1.1\r\nhost: h\r\n" + b"x:\r\n" * 21 + b"\r\n", 431, "too_many_headers"),
            (b"GET /" + b"y" * 9000, 414, "line_too_long"),
            (b"POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 1001\r\n\r\n", 413, "body_too_large"),
            (b"POST / HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n3e9\r\n", 413, "body_too_large"),
        ):
            error = self.assertRaises(BadMessage, Sink().feed, raw)
            self.assertEqual((error.status, error.reason), (status, reason))

    def test_a_body_in_the_smallest_of_chunks(self) -> None:
        """What one read brings of a body is one piece of it, however it is chunked."""
        sink = Sink()
        pieces: list[bytes] = []
        sink.request_body = pieces.append  # type: ignore[method-assign]
        head = b"POST / HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n"
        sink.feed(head + b"1\r\na\r\n" * 400)
        sink.feed(b"1\r\nb\r\n" * 100 + b"0\r\n\r\n")
        self.assertEqual(pieces, [b"a" * 400, b"b" * 100])
        self.assertEqual(len(sink.requests), 1)

    def test_bad_beginnings_are_refused_early(self) -> None:
        """A bare LF is refused without waiting for a head's end that may never come."""
        for raw in (b"\nGET", b"GET / HTTP/1.1\nhost: h\n\n", b"\rGET / HTTP/1.1\r\n", b"\x16\x03\x01", b" GET"):
            self.assertRaises(BadMessage, Sink().feed, raw)

    def test_cut_short(self) -> None:
        """Ending between requests is fine, within one is not."""
        for raw in (GET, POST, CHUNKS):
            for end in range(1, len(raw)):
                self.assertEqual(self.assertRaises(BadMessage, read, [raw[:end]]).reason, "cut")
        read([])
        read([GET])

    def test_closed_beneath_every_frame(self) -> None:
        """A sink that closes the parser beneath any of its frames is told nothing more."""
        for frame in ("request_head", "request_body", "request_complete"):
            for pieces in every_cut(POST + GET):
                sink = Sink(eager=False)
                told: list[str] = []

                def watch(name: str, sink: Sink = sink, told: list[str] = told, frame: str = frame) -> object:
                    def called(*args: object) -> None:
                        told.append(name)
                        if name == frame:
                            sink.parser.close()

                    return called

                for name in ("request_head", "request_body", "request_complete"):
                    setattr(sink, name, watch(name))
                for piece in pieces:
                    sink.parser.feed(piece)
                self.assertEqual(told[-1], frame)
                self.assertEqual(told.count(frame), 1)

    @settings(max_examples=60)
    @given(
        st.lists(
            st.tuples(st.sampled_from(["GET", "POST", "HEAD"]), st.binary(max_size=30), st.booleans()), max_size=4
        ),
        st.randoms(use_true_random=False),
    )
    def test_what_h11_writes_is_read(self, asked, lot) -> None:  # type: ignore[no-untyped-def]
        """Any requests that another implementation writes, cut at random."""
        raw, expected = b"", []
        for method, body, chunked in asked:
            client = h11.Connection(h11.CLIENT)
            headers = [
                ("host", "h"),
                ("transfer-encoding", "chunked") if chunked else ("content-length", str(len(body))),
            ]
            raw += client.send(h11.Request(method=method, target="/x", headers=headers)) or b""
            raw += (client.send(h11.Data(data=body)) or b"") + (client.send(h11.EndOfMessage()) or b"")
            expected.append((method, b"/x", body))
        pieces = []
        while raw:
            at = lot.randrange(1, len(raw) + 1)
            pieces.append(raw[:at])
            raw = raw[at:]
        self.assertEqual(read(pieces), expected)
