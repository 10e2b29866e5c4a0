"""C{Retry-After}, in its two spellings and in all others."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.wire.head import parse_response_head
from aibrix_twisted.wire.retry_after import retry_after

NOON = b"Tue, 15 Nov 1994 12:00:00 GMT"

#: Said, the response's own C{Date}, and what that comes to.
TABLE: tuple[tuple[bytes | None, bytes | None, float], ...] = (
    (None, None, 0.0),
    (b"", None, 0.0),
    (b"0", None, 0.0),
    (b"7", None, 7.0),
    (b"007", None, 7.0),
    (b"0000000000000005", None, 5.0),
    (b"7", NOON, 7.0),
    (b"7.5", None, 0.0),
    (b"-7", None, 0.0),
    (b"+7", None, 0.0),
    (b"7 s", None, 0.0),
    (b"7, 8", None, 0.0),
    (b"soon", None, 0.0),
    (b"\xb2", None, 0.0),
    (b"\xff\xfe", None, 0.0),
    (b"nan", None, 0.0),
    (b"inf", None, 0.0),
    (b"Tue, 15 Nov 1994 12:00:30 GMT", NOON, 30.0),
    (b"Tuesday, 15-Nov-94 12:00:30 GMT", NOON, 30.0),
    (b"Tue, 15 Nov 1994 13:00:30 +0100", NOON, 30.0),
    (NOON, NOON, 0.0),
    (b"Tue, 15 Nov 1994 11:59:59 GMT", NOON, 0.0),
    (NOON, None, 0.0),
    (NOON, b"today", 0.0),
    (b"Tue, 15 Nov 1994 12:00:30 -0000", NOON, 0.0),  # of no known zone
    (b"Tue, 99 Nov 1994 12:00:30 GMT", NOON, 0.0),
    (b"Mon, 01 Jan 99999999999999999999 00:00:00 GMT", NOON, 0.0),
    (b"Mon, 01 Jan 1994 00:00:00 +99999999999999999999", NOON, 0.0),
)

_WORDS = (
    *(
        b"Mon,",
        b"01",
        b"Jan",
        b"9" * 30,
        b"1994",
        b"00:00:00",
        b"99:99:99",
        b"GMT",
        b"+9999",
        b"-0000",
        b"+" + b"9" * 20,
    ),
    *(b",", b"(", b"jan", b"0", b":", b"1:2:3:4", b"1.2.3", b"1::", b"-1", b"9" * 5000, b"\xb2", b"-"),
)
_SAID = st.lists(st.sampled_from(_WORDS), max_size=7).map(b" ".join) | st.from_regex(
    rb"[\x20-\x7e\x80-\xff]*", fullmatch=True
)


def asked(said: bytes | None, date: bytes | None) -> float:
    """What a head with these comes to."""
    lines = b"" if said is None else b"Retry-After: " + said + b"\r\n"
    lines += b"" if date is None else b"Date: " + date + b"\r\n"
    return retry_after(parse_response_head(b"HTTP/1.1 503 Busy\r\n" + lines + b"\r\n", max_headers=9))


class RetryAfterTests(SynchronousTestCase):
    """Whatever an engine says."""

    def test_table(self) -> None:
        """Seconds; a date against the response's own; anything else is nothing."""
        for said, date, expected in TABLE:
            self.assertEqual(asked(said, date), expected, (said, date))

    @given(_SAID, st.none() | _SAID)
    @example(b"9" * 5000, None)
    def test_never_raises_never_negative(self, said: bytes, date: bytes | None) -> None:
        """An unreadable one must not break the answer that it came with."""
        found = asked(said.strip(), date)
        self.assertGreaterEqual(found, 0.0)
        self.assertLess(found, 1e12)
