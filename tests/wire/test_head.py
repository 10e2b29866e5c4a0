"""Heads: what RFC 9112 allows is read, all else is refused by name."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.wire.head import (
    BadMessage,
    Framing,
    RequestHead,
    ResponseHead,
    options_of,
    parse_request_head,
    parse_response_head,
)


def request(raw: bytes, max_headers: int = 100) -> RequestHead:
    """Read a request's head."""
    return parse_request_head(raw, max_headers=max_headers)


def response(raw: bytes, max_headers: int = 100) -> ResponseHead:
    """Read a response's head."""
    return parse_response_head(raw, max_headers=max_headers)


#: Heads that are refused: why, with which status, and the head.
BAD_REQUESTS: tuple[tuple[str, int, bytes], ...] = (
    ("start_line", 400, b"GET  / HTTP/1.1\r\nhost: a\r\n\r\n"),
    ("start_line", 400, b"GET / x HTTP/1.1\r\nhost: a\r\n\r\n"),
    ("start_line", 400, b" GET / HTTP/1.1\r\nhost: a\r\n\r\n"),
    ("version", 400, b"GET\t/\tHTTP/1.1\r\nhost: a\r\n\r\n"),
    ("start_line", 400, b"G@T / HTTP/1.1\r\nhost: a\r\n\r\n"),
    ("start_line", 400, b"`GET / HTTP/1.1\r\nhost: a\r\n\r\n"),
    ("start_line", 400, b"GET /#x HTTP/1.1\r\nhost: a\r\n\r\n"),
    ("start_line", 400, b"GET /\x80 HTTP/1.1\r\nhost: a\r\n\r\n"),
    ("start_line", 400, b"GET /\x00 HTTP/1.1\r\nhost: a\r\n\r\n"),
    ("version", 400, b"GET /\r\nhost: a\r\n\r\n"),
    ("version", 400, b"GET / HTTP/11\r\nhost: a\r\n\r\n"),
    ("version", 400, b"GET / http/1.1\r\nhost: a\r\n\r\n"),
    ("version", 505, b"GET / HTTP/2.0\r\nhost: a\r\n\r\n"),
    ("version", 505, b"PRI * HTTP/2.0\r\n\r\n"),
    ("version", 505, b"GET / HTTP/1.2\r\nhost: a\r\n\r\n"),
    ("method", 501, b"CONNECT a:1 HTTP/1.1\r\nhost: a:1\r\n\r\n"),
    ("target", 400, b"GET a HTTP/1.1\r\nhost: a\r\n\r\n"),
    ("target", 400, b"GET * HTTP/1.1\r\nhost: a\r\n\r\n"),
    ("target", 400, b"GET ftp://a/ HTTP/1.1\r\nhost: a\r\n\r\n"),
    ("target", 400, b"GET http://b/ HTTP/1.1\r\nhost: a\r\n\r\n"),
    ("host", 400, b"GET / HTTP/1.1\r\n\r\n"),
    ("host", 400, b"GET / HTTP/1.1\r\nhost: a\r\nhost: a\r\n\r\n"),
    ("host", 400, b"GET / HTTP/1.1\r\nhost: a\r\nHost: b\r\n\r\n"),
    ("host", 400, b"GET / HTTP/1.1\r\nhost: a/b\r\n\r\n"),
    ("host", 400, b"GET / HTTP/1.1\r\nhost: a b\r\n\r\n"),
    ("host", 400, b"GET / HTTP/1.1\r\nhost:\r\n\r\n"),
    ("host", 400, b"GET / HTTP/1.1\r\nhost: u@a\r\n\r\n"),
    ("host", 400, b"GET / HTTP/1.1\r\nhost: a:65536\r\n\r\n"),
    ("header_line", 400, b"GET / HTTP/1.1\r\nhost : a\r\n\r\n"),
    ("header_line", 400, b"GET / HTTP/1.1\r\nhost: a\r\n folded\r\n\r\n"),
    ("header_line", 400, b"GET / HTTP/1.1\r\nhost: a\r\n\tfolded\r\n\r\n"),
    ("header_line", 400, b"GET / HTTP/1.1\r\nhost: a\r\nno-colon\r\n\r\n"),
    ("header_line", 400, b"GET / HTTP/1.1\r\nhost: a\r\n: nameless\r\n\r\n"),
    ("header_line", 400, b"GET / HTTP/1.1\r\nhost: a\r\nx: a\x00b\r\n\r\n"),
    ("header_line", 400, b"GET / HTTP/1.1\r\nhost: a\r\nx: a\rb\r\n\r\n"),
    ("header_line", 400, b"GET / HTTP/1.1\r\nhost: a\r\nx: a\nb: c\r\n\r\n"),
    ("header_line", 400, b"GET / HTTP/1.1\r\nhost: a\r\nx(y): a\r\n\r\n"),
    ("header_line", 400, b"GET / HTTP/1.1\r\nhost: a\r\nx\x80: a\r\n\r\n"),
    ("length", 400, b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ncontent-length: 1\r\n\r\n"),
    ("length", 400, b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1, 1\r\n\r\n"),
    ("length", 400, b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: +1\r\n\r\n"),
    ("length", 400, b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: -1\r\n\r\n"),
    ("length", 400, b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 0x1\r\n\r\n"),
    ("length", 400, b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1_0\r\n\r\n"),
    ("length", 400, b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length:\r\n\r\n"),
    ("length", 400, b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 9999999999999999999\r\n\r\n"),
    ("length", 400, b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n"),
    ("length", 400, b"POST / HTTP/1.1\r\nhost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n"),
    ("transfer_encoding", 400, b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked, chunked\r\n\r\n"),
    ("transfer_encoding", 400, b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: gzip, chunked\r\n\r\n"),
    ("transfer_encoding", 400, b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked, identity\r\n\r\n"),
    ("transfer_encoding", 400, b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: xchunked\r\n\r\n"),
    ("transfer_encoding", 400, b'POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: "chunked"\r\n\r\n'),
    ("transfer_encoding", 501, b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: gzip\r\n\r\n"),
    ("transfer_encoding", 501, b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding:\r\n\r\n"),
    ("transfer_encoding", 400, b"POST / HTTP/1.0\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n"),
    ("expect", 417, b"POST / HTTP/1.1\r\nhost: a\r\nexpect: 200-ok\r\n\r\n"),
)

BAD_RESPONSES: tuple[tuple[str, bytes], ...] = (
    ("start_line", b"HTTP/2 200 OK\r\n\r\n"),
    ("start_line", b"HTTP/1.1 99 Low\r\n\r\n"),
    ("start_line", b"HTTP/1.1 600 High\r\n\r\n"),
    ("start_line", b"HTTP/1.1 2000 Long\r\n\r\n"),
    ("start_line", b"HTTP/1.1  200 OK\r\n\r\n"),
    ("start_line", b"HTTQ/1.1 200 OK\r\n\r\n"),
    ("start_line", b"HTTP/1.1 200 O\x00K\r\n\r\n"),
    ("start_line", b"\r\nHTTP/1.1 200 OK\r\n\r\n"),
    ("header_line", b"HTTP/1.1 200 OK\r\nx : y\r\n\r\n"),
    ("header_line", b"HTTP/1.1 200 OK\r\nx: y\r\n z\r\n\r\n"),
    ("header_line", b"HTTP/1.1 200 OK\r\nx: y\nz: a\r\n\r\n"),
    ("length", b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n"),
    ("length", b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n"),
    ("length", b"HTTP/1.1 200 OK\r\ncontent-length: 1e3\r\n\r\n"),
    ("transfer_encoding", b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\n"),
    ("transfer_encoding", b"HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"),
)


class RequestHeadTests(SynchronousTestCase):
    """Requests."""

    def test_a_plain_one(self) -> None:
        """Everything that a head says."""
        head = request(
            b"POST /v1/x?a=b&c HTTP/1.1\r\nHost: a:80\r\nX-One:  1 \r\nx-one:2\r\nContent-Length: 12\r\n"
            b"Expect: 100-Continue\r\n\r\n"
        )
        self.assertEqual((head.method, head.path, head.query), ("POST", b"/v1/x", b"?a=b&c"))
        self.assertEqual(head.headers[1:3], [(b"X-One", b"1"), (b"x-one", b"2")])
        self.assertEqual(head.fields[b"x-one"], b"1, 2")
        self.assertEqual((head.content_length, head.chunked, head.expects_continue), (12, False, True))
        self.assertTrue(head.keep_alive)

    def test_every_bad_one_is_refused_for_its_reason(self) -> None:
        """Smuggling, folding, bare line ends, doubtful lengths: each with its status and reason."""
        for reason, status, raw in BAD_REQUESTS:
            error = self.assertRaises(BadMessage, request, raw)
            self.assertEqual((error.reason, error.status), (reason, status), (raw, str(error)))
            self.assertTrue(str(error).isprintable(), "a stranger's bytes must not reach a terminal")

    def test_targets(self) -> None:
        """Absolute forms are taken apart; an asterisk is for OPTIONS."""
        for raw, path, query in (
            (b"GET http://a/b?c HTTP/1.1", b"/b", b"?c"),
            (b"GET http://A HTTP/1.1", b"/", b""),
            (b"GET HTTP://a?c HTTP/1.1", b"/", b"?c"),
            (b"OPTIONS * HTTP/1.1", b"*", b""),
            (b"GET /? HTTP/1.1", b"/", b"?"),
            (b"GET //b HTTP/1.1", b"//b", b""),
        ):
            head = request(raw + b"\r\nhost: a\r\n\r\n")
            self.assertEqual((head.path, head.query), (path, query), raw)

    def test_keep_alive(self) -> None:
        """Unless the head says otherwise; HTTP/1.0 cannot say so reliably."""
        for version, line, expected in (
            (b"1.1", b"", True),
            (b"1.1", b"connection: close\r\n", False),
            (b"1.1", b"connection: x, Close\r\n", False),
            (b"1.0", b"", False),
            (b"1.0", b"connection: Keep-Alive\r\n", False),
        ):
            head = request(b"GET / HTTP/" + version + b"\r\nhost: a\r\n" + line + b"\r\n")
            self.assertIs(head.keep_alive, expected, (version, line))

    def test_one_line_end_before_the_start_line(self) -> None:
        """RFC 9112 §2.2 asks for that much patience."""
        self.assertEqual(request(b"\r\nGET / HTTP/1.1\r\nhost: a\r\n\r\n").method, "GET")

    def test_too_many_headers(self) -> None:
        """Counted, with the bound in the message."""
        raw = b"GET / HTTP/1.1\r\nhost: a\r\n" + b"x: y\r\n" * 9 + b"\r\n"
        self.assertEqual(len(request(raw, 10).headers), 10)
        error = self.assertRaises(BadMessage, request, raw, 9)
        self.assertEqual((error.status, error.reason), (431, "too_many_headers"))

    @given(st.binary(max_size=60))
    def test_any_bytes_are_read_or_refused(self, noise: bytes) -> None:
        """Nothing else can happen."""
        for raw in (noise + b"\r\n\r\n", b"GET / HTTP/1.1\r\nhost: a\r\nx: " + noise + b"\r\n\r\n"):
            try:
                head = request(raw)
            except BadMessage:
                continue
            self.assertFalse(any(b"\r" in value or b"\n" in value or b"\0" in value for _, value in head.headers))


class ResponseHeadTests(SynchronousTestCase):
    """Responses."""

    def test_framing(self) -> None:
        """What ends the body (RFC 9112 §6.3), and whether the connection lives on."""
        for raw, framing, keep in (
            (b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n", Framing.LENGTH, True),
            (b"HTTP/1.1 200\r\ntransfer-encoding: Chunked\r\n\r\n", Framing.CHUNKED, True),
            (b"HTTP/1.1 200 \r\n\r\n", Framing.CLOSE, False),
            (b"HTTP/1.0 200 OK\r\n\r\n", Framing.CLOSE, False),
            (b"HTTP/1.1 204 No\r\ncontent-length: 5\r\n\r\n", Framing.NONE, True),
            (b"HTTP/1.1 304 No\r\ntransfer-encoding: chunked\r\n\r\n", Framing.NONE, True),
            (b"HTTP/1.1 103 Hints\r\n\r\n", Framing.NONE, True),
            (b"HTTP/1.0 200 OK\r\ncontent-length: 5\r\n\r\n", Framing.LENGTH, False),
            (b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\n", Framing.LENGTH, False),
        ):
            head = response(raw)
            self.assertEqual((head.framing, head.keep_alive), (framing, keep), raw)

    def test_every_bad_one_is_refused_for_its_reason(self) -> None:
        """An engine is no more trusted than a client."""
        for reason, raw in BAD_RESPONSES:
            error = self.assertRaises(BadMessage, response, raw)
            self.assertEqual((error.reason, error.status), (reason, 502), (raw, str(error)))


class OptionsTests(SynchronousTestCase):
    """Lists such as that of Connection."""

    def test_members(self) -> None:
        """Lower case, without space, empty ones left out."""
        self.assertEqual(options_of(b" Close ,, X-a,"), {b"close", b"x-a"})
