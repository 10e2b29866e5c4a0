"""What is remembered is what would be read: no head is taken for another."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.wire.head import BadMessage, parse_request_head, parse_response_head
from aibrix_twisted.wire.remembered import LastHead, read_request_head, read_response_head
from tests.wire.test_head import BAD_REQUESTS, BAD_RESPONSES


def new(read: Callable[..., Any]) -> Callable[..., Any]:
    """Each head as the first of its connection."""
    return lambda raw, max_headers: read(raw, max_headers=max_headers, last=LastHead())


def next_of(read: Callable[..., Any]) -> Callable[..., Any]:
    """All on one connection."""
    last = LastHead()
    return lambda raw, max_headers: read(raw, max_headers=max_headers, last=last)


READERS: tuple[tuple[bytes, Callable[..., Any], Callable[..., Any]], ...] = (
    (b"POST /v1 HTTP/1.1\r\nhost: a\r\n", parse_request_head, new(read_request_head)),
    (b"HTTP/1.1 200 OK\r\n", parse_response_head, new(read_response_head)),
)

#: Lines that matter to framing, well and badly spelled, and what may stand around them.
LINES = (
    b"content-length: 5\r\n",
    b"Content-Length:007\r\n",
    b"content-length: \t12\r\n",
    b"content-length: 5 \r\n",
    b"content-length: 5, 5\r\n",
    b"content-length: \r\n",
    b"content-length: 1234567890123456789\r\n",
    b"content-length: -1\r\n",
    b"content_length: 5\r\n",
    b"x-content-length: 5\r\n",
    b"transfer-encoding: chunked\r\n",
    b"connection: close, x-own\r\n",
    b"x-own: 1\r\n",
    b"expect: 100-continue\r\n",
    b"x-bad : 1\r\n",
    b" content-length: 5\r\n",
    b"\ncontent-length: 5\r\n",
    b"date: now\r\n",
)


def seen(read: Callable[..., Any], raw: bytes, max_headers: int = 100) -> Any:
    """What a reader makes of a head: all of it but the header that says the length, or why it is none."""
    try:
        head = read(raw, max_headers=max_headers)
    except BadMessage as bad:
        return bad.status, bad.reason, str(bad)
    told = {name: getattr(head, name) for name in type(head).__slots__}
    told["fields"] = {name: value for name, value in head.fields.items() if name != b"content-length"}
    told["headers"] = [header for header in head.headers if header[0].lower() != b"content-length"]
    return told


class RememberedTests(SynchronousTestCase):
    """Against the readers that remember nothing."""

    def test_every_bad_one_is_refused_for_its_reason(self) -> None:
        """Also where one that is the same but for its length was read before."""
        read = next_of(read_request_head)
        for raw in (raw for _, _, raw in BAD_REQUESTS):
            for _ in range(2):
                self.assertEqual(seen(read, raw), seen(parse_request_head, raw))
        read = next_of(read_response_head)
        for raw in (raw for _, raw in BAD_RESPONSES):
            for _ in range(2):
                self.assertEqual(seen(read, raw), seen(parse_response_head, raw))

    @given(st.lists(st.sampled_from(LINES), max_size=5), st.integers(0, 10**18 - 1))
    def test_as_if_read_anew(self, lines: list[bytes], length: int) -> None:
        """Whatever is said of the length, once, again, and with another one."""
        for (start, parse, read), following in zip(
            READERS, (next_of(read_request_head), next_of(read_response_head)), strict=True
        ):
            for said in (b"5", b"5", b"%d" % length, b"", b"9" * 19, b"6"):
                raw = start + b"".join(lines).replace(b"5", said) + b"\r\n"
                self.assertEqual(seen(read, raw), seen(parse, raw), raw)
                self.assertEqual(seen(following, raw), seen(parse, raw), raw)

    def test_what_only_looks_like_the_last(self) -> None:
        """Cut short, overlapping, or with something beside digits in the place of the length."""
        for (start, parse, _), following in zip(
            READERS, (next_of(read_request_head), next_of(read_response_head)), strict=True
        ):
            whole = start + b"content-length: 11\r\nx: 1\r\n\r\n"
            for raw in (
                whole,
                start + b"content-length: 1\r\nx: 1\r\n\r\n",
                start + b"content-length: \r\nx: 1\r\n\r\n",
                start + b"content-length: 1 1\r\nx: 1\r\n\r\n",
                start + b"content-length: +1\r\nx: 1\r\n\r\n",
                start + b"content-length: \xb2\r\nx: 1\r\n\r\n",
                start + b"content-length: 1\r\ncontent-length: 2\r\nx: 1\r\n\r\n",
                start + b"content-length: 1\r\nx: 2\r\nx: 1\r\n\r\n",
                start + b"x: 1\r\n\r\n",
                start + b"x: 1\r\n\r\n",
                whole,
            ):
                self.assertEqual(seen(following, raw, 9), seen(parse, raw, 9), raw)

    def test_another_length(self) -> None:
        """The same head, and its own length."""
        for start, _, read in READERS:
            heads = [read(start + b"Content-Length: %d\r\nx: y\r\n\r\n" % n, max_headers=9) for n in (1, 23, 1)]
            self.assertEqual([head.content_length for head in heads], [1, 23, 1])
            self.assertIs(heads[0].fields, heads[1].fields)
            self.assertNotIn(b"content-length", heads[0].fields)
            self.assertIn(b"x: y\r\n", heads[0].onward)

    def test_bounds(self) -> None:
        """The number of headers is that of this reader's settings; a long head is read anew each time."""
        for start, parse, read in READERS:
            raw = start + b"content-length: 1\r\na: 1\r\nb: 2\r\n\r\n"
            read(raw, max_headers=9)
            self.assertEqual(seen(read, raw, 2), seen(parse, raw, 2))
            raw = start + b"content-length: 1\r\na: %b\r\n\r\n" % (b"v" * 5000)
            self.assertIsNot(read(raw, max_headers=9).fields, read(raw, max_headers=9).fields)
