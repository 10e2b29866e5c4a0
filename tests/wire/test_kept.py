"""What is kept of a stream that passes, and what is taken out of it."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.wire.kept import Framed, Kept
from aibrix_twisted.wire.routes import Dialect
from aibrix_twisted.wire.stream import StreamWatch
from tests.cuts import every_cut
from tests.wire.streams import DONE, STREAMS, spoken

PIECES = [("Hel", [11]), ("lo", [12, 13]), ("", [14]), ('\u00fc \\"x\\" ]', [15]), ("!", [16])]


def kept_of(pieces: list[bytes], *, ids: bool = False, withheld: bool = True, **more: int) -> tuple[Kept, bytes]:
    """What is kept of a stream, and what passed."""
    kept = Kept(more.pop("max_bytes", 1 << 20), takes_ids=ids, withholds_ids=withheld)
    watch = StreamWatch(Dialect.CHAT, choices=1, done_required=True, kept=kept, **more)
    return kept, b"".join(watch.feed(piece) for piece in pieces)


def flat(kept: Kept) -> bytes:
    """All that was kept, spelled out."""
    out = []
    for segment in kept.passed():
        if isinstance(segment, Framed):
            out += [segment.start + text + segment.end for text in segment.texts.split(b"\n")[:-1]]
        else:
            out.append(segment)
    return b"".join(out)


class KeptTests(SynchronousTestCase):
    """Whatever passes."""

    def test_every_stream_at_every_cut(self) -> None:
        """What is kept is what has passed, byte for byte."""
        for name, (text, _, _, _) in STREAMS.items():
            for pieces in every_cut(text.encode()):
                kept, passed = kept_of(pieces)
                self.assertEqual(flat(kept), passed, (name, len(pieces[0])))
                self.assertEqual((kept.ids(), kept.prompt_ids()), ([], []))

    def test_a_token_takes_little(self) -> None:
        """Of events alike their text only is kept: also of such as come several in a read."""
        events = [event.encode() for event in spoken([("word ", [7])] * 2000, ids=False)]
        for pieces in (events, [b"".join(events)], [b"".join(events[at : at + 3]) for at in range(0, len(events), 3)]):
            kept, passed = kept_of(pieces, max_bytes=13_000)
            self.assertFalse(kept.lost)
            self.assertEqual(flat(kept), passed)

    def test_beyond_the_bound(self) -> None:
        """Nothing is kept any more, and that is known; ids are taken out all the same."""
        events = [event.encode() for event in spoken([("word ", [7])] * 300, ids=True)]
        plain = "".join(spoken([("word ", [7])] * 300, ids=False)).encode()
        for bound in (0, 1, 100, 700, 1500, 3000):
            kept, passed = kept_of(events, ids=True, max_bytes=bound)
            self.assertTrue(kept.lost, bound)
            self.assertEqual(passed, plain)
            self.assertEqual((list(kept.passed()), kept.ids(), kept.prompt_ids()), ([], [], []))
        self.assertFalse(kept_of(events, ids=True, max_bytes=6000)[0].lost)

    def test_an_event_that_is_too_long(self) -> None:
        """It is not looked into, so what is kept would lack it."""
        kept, _ = kept_of([b"data: " + b"x" * 64, b"x" * 64], max_bytes=1 << 20)
        watch = StreamWatch(Dialect.CHAT, choices=1, done_required=True, kept=kept, max_bytes=100)
        watch.feed(b"data: " + b"x" * 120)
        self.assertTrue(kept.lost)

    def test_what_is_held_at_the_end_is_not_kept(self) -> None:
        """An event of which only a line end may be missing was not the client's when the stream broke."""
        kept = Kept(1 << 20, takes_ids=False, withholds_ids=False)
        watch = StreamWatch(Dialect.CHAT, choices=1, done_required=True, kept=kept)
        watch.feed(b"data: a\r\rdata: b\r\r")
        self.assertEqual(flat(kept), b"data: a\r\r")
        watch.finish()
        self.assertEqual((watch.held, flat(kept)), (b"data: b\r\r", b"data: a\r\r"))


class IdsTests(SynchronousTestCase):
    """Tokens, where the gateway asked for them."""

    def test_at_every_cut(self) -> None:
        """The client has the bytes that it would have had; the ids are known."""
        stream = "".join(spoken(PIECES, ids=True)) + DONE
        plain = "".join(spoken(PIECES, ids=False)) + DONE
        for pieces in every_cut(stream.encode()):
            kept, passed = kept_of(pieces, ids=True)
            self.assertEqual(passed, plain.encode(), len(pieces[0]))
            self.assertEqual(kept.ids(), [[], *(ids for _, ids in PIECES), []])
            self.assertEqual(kept.prompt_ids(), [1, 2, 3])
            self.assertEqual(flat(kept), passed)

    def test_a_client_that_asked(self) -> None:
        """It gets what came, and the ids are known all the same."""
        stream = ("".join(spoken(PIECES, ids=True)) + DONE).encode()
        kept, passed = kept_of([stream], ids=True, withheld=False)
        self.assertEqual((passed, flat(kept)), (stream, stream))
        self.assertEqual(kept.ids()[1:3], [[11], [12, 13]])

    def test_a_text_that_looks_like_it(self) -> None:
        """Only the member is taken out; what a text says of it stays."""
        pieces = [('"token_ids":[1,2]', [5]), ('"prompt_token_ids":[9]', [6])]
        kept, passed = kept_of(["".join(spoken(pieces, ids=True)).encode()], ids=True)
        self.assertEqual(passed, "".join(spoken(pieces, ids=False)).encode())
        self.assertEqual((kept.ids(), kept.prompt_ids()), ([[], [5], [6]], [1, 2, 3]))

    def test_each_event_has_its_place(self) -> None:
        """One that was withheld, too: the ids of those after it are not theirs else."""
        kept = Kept(1 << 20, takes_ids=True, withholds_ids=True)
        watch = StreamWatch(Dialect.CHAT, choices=1, done_required=True, kept=kept, withhold_usage=True)
        usage = 'data: {"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":1}}\n\n'
        events = spoken([("a", [5]), ("b", [6])], ids=True)
        out = b"".join(watch.feed(event.encode()) for event in (*events[:2], usage, ": c\n\n", *events[2:]))
        self.assertNotIn(b"prompt_tokens", out)
        self.assertEqual(kept.ids(), [[], [5], [], [], [6]])
        self.assertEqual(len(list(kept.passed())), 5)

    def test_nonsense(self) -> None:
        """What are no numbers is no crash on the pass path."""
        kept, _ = kept_of([b'data: {"token_ids":[x]}\n\n'], ids=True)
        self.assertRaises(ValueError, kept.ids)
