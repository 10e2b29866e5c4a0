"""C{traceparent}: what is one, byte by byte, and what is not."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.wire.traceparent import Parent, is_sampled, parse_traceparent, traceparent

GOOD = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
TRACE_ID, SPAN_ID = 0x0AF7651916CD43DD8448EB211C80319C, 0xB7AD6B7169203331

_HEX = frozenset(b"0123456789abcdef")
_DASHES = frozenset({2, 35, 52})


def with_flags(flags: bytes) -> bytes:
    """The good one, with these."""
    return GOOD[:-2] + flags


class ParseTests(SynchronousTestCase):
    """What others say."""

    def test_good(self) -> None:
        """Version 00, as it stands in the specification."""
        self.assertIs(is_sampled(GOOD), True)
        self.assertEqual(parse_traceparent(GOOD), Parent(TRACE_ID, SPAN_ID, 1))

    def test_flags(self) -> None:
        """The last bit says sampled; of the others only that of a random id is known, and none is an error."""
        for flags in range(256):
            raw = with_flags(b"%02x" % flags)
            self.assertIs(is_sampled(raw), bool(flags & 1), raw)
            self.assertEqual(
                parse_traceparent(raw).flags, flags & 3, "what nobody knows is not sent on as if it were ours"
            )

    def test_later_versions(self) -> None:
        """May say more behind another dash; version 00 may not, and there is no version ff."""
        for version, more, good in (
            (b"01", b"", True),
            (b"01", b"-", True),
            (b"01", b"-more-\xff", True),
            (b"fe", b"-x", True),
            (b"01", b"x", False),
            (b"01", b" ", False),
            (b"00", b"-", False),
            (b"00", b"-x", False),
            (b"ff", b"", False),
            (b"ff", b"-x", False),
        ):
            found = is_sampled(version + GOOD[2:] + more)
            self.assertIs(found, True if good else None, (version, more))

    def test_bad(self) -> None:
        """Ids of nothing but zeros, capitals, what is too short, and several in one."""
        zeros = b"00-%b-%b-01"
        for raw in (
            b"",
            b"-",
            GOOD.upper(),
            zeros % (b"0" * 32, b"b7ad6b7169203331"),
            zeros % (b"0af7651916cd43dd8448eb211c80319c", b"0" * 16),
            GOOD + b", " + GOOD,
            GOOD + b",",
            GOOD + b"\n",
            b" " + GOOD,
            GOOD.replace(b"-", b"_"),
        ):
            self.assertIsNone(is_sampled(raw), raw)

    def test_every_byte(self) -> None:
        """In each place each byte: a hexadecimal digit where there is one, a dash where there is one, nothing else."""
        for at in range(len(GOOD)):
            for byte in range(256):
                raw = GOOD[:at] + bytes((byte,)) + GOOD[at + 1 :]
                good = byte == ord("-") if at in _DASHES else byte in _HEX
                if at < 2:
                    good = good and raw[:2] != b"ff"
                self.assertEqual(is_sampled(raw) is not None, good, raw)

    def test_every_length(self) -> None:
        """Neither shorter, nor longer by anything."""
        for end in range(len(GOOD)):
            self.assertIsNone(is_sampled(GOOD[:end]))
        for byte in range(256):
            self.assertIsNone(is_sampled(GOOD + bytes((byte,))))

    @given(st.binary(max_size=80) | st.from_regex(rb"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}.*"))
    @example(b"00-" + b"0" * 32 + b"-" + b"0" * 16 + b"-00")
    def test_whatever_comes(self, raw: bytes) -> None:
        """It is one, with ids that are some, or it is none; never anything else."""
        sampled = is_sampled(raw)
        if sampled is not None:
            parent = parse_traceparent(raw)
            self.assertEqual(sampled, bool(parent.flags & 1))
            self.assertTrue(0 < parent.trace_id < 1 << 128)
            self.assertTrue(0 < parent.span_id < 1 << 64)
            self.assertEqual(raw[3:52], traceparent(parent.trace_id, parent.span_id, 0)[3:52])


class MakeTests(SynchronousTestCase):
    """What we say."""

    @given(st.integers(1, (1 << 128) - 1), st.integers(1, (1 << 64) - 1), st.integers(0, 3))
    def test_there_and_back(self, trace_id: int, span_id: int, flags: int) -> None:
        """Is read as what was meant, and is of the one length."""
        made = traceparent(trace_id, span_id, flags)
        self.assertEqual(len(made), 55)
        self.assertEqual(parse_traceparent(made), Parent(trace_id, span_id, flags))
