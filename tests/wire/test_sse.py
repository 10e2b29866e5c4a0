"""Server-sent events, cut anywhere, with any line ends."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.wire.sse import SSEParser, TooLong, encode_event, read_event
from tests.cuts import every_cut


def read(pieces: list[bytes], max_bytes: int = 1000) -> list[bytes]:
    """All events, raw."""
    parser = SSEParser(max_bytes=max_bytes)
    raws = [raw for piece in pieces for raw in parser.feed(piece)]
    return raws + parser.finish()


def datas(raws: list[bytes]) -> list[bytes]:
    """The data of those that have any."""
    return [event.data for event in map(read_event, raws) if event is not None]


class SSEParserTests(SynchronousTestCase):
    """WHATWG HTML §9.2."""

    def test_every_cut_with_every_line_end(self) -> None:
        """LF, CR and CR LF, a comment, several lines of data, an event without data, a character of four bytes."""
        text = (
            'data: {"a": "🚀"}\n\n: ping\n\nevent: x\ndata: one\ndata:two\ndata\n\nid: 7\n\ndata: [DONE]\n\n'.encode()
        )
        for end in (b"\n", b"\r", b"\r\n"):
            stream = text.replace(b"\n", end)
            expected = ['{"a": "🚀"}'.encode(), b"one\ntwo\n", b"[DONE]"]
            for pieces in every_cut(stream):
                raws = read(pieces)
                self.assertEqual(datas(raws), expected, pieces)
                self.assertEqual(b"".join(raws), stream, "every byte belongs to an event")

    def test_an_unfinished_event_is_none(self) -> None:
        """Half an event at the end is not dispatched."""
        self.assertEqual(datas(read([b"data: a\n\ndata: b\n"])), [b"a"])

    def test_bom_and_names(self) -> None:
        """A byte order mark is skipped; a name is read; one space after the colon is not data."""
        event = read_event(b"\xef\xbb\xbfevent:error\ndata:  x\n\n")
        assert event is not None
        self.assertEqual((event.name, event.data), (b"error", b" x"))
        self.assertIsNone(read_event(b": only a comment\n\n"))

    def test_cap(self) -> None:
        """An event beyond the bound is refused, in one piece or in many."""
        self.assertRaises(TooLong, read, [b"data: " + b"x" * 1000])
        self.assertRaises(TooLong, read, [b"x"] * 1001)
        self.assertEqual(len(read([b"data: x\n\n" * 500])), 500)

    @given(st.lists(st.text(max_size=20).filter(lambda t: "\n" not in t and "\r" not in t), max_size=5))
    def test_what_is_encoded_is_read(self, texts: list[str]) -> None:
        """Any data without line ends goes there and back."""
        stream = b"".join(encode_event(text.encode()) for text in texts)
        self.assertEqual(datas(read([stream])), [text.encode() for text in texts])
