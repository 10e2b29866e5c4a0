"""What a broken stream had told: at every place where it may have broken."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.wire.kept import Kept
from aibrix_twisted.wire.routes import Dialect
from aibrix_twisted.wire.told import Told, read
from aibrix_twisted.wire.usage import Usage
from tests.cuts import every_cut
from tests.wire.streams import DONE, STREAMS, USAGE_EVENT, _chat, spoken
from tests.wire.test_kept import PIECES, kept_of


def told_of(pieces: list[bytes], *, ids: bool = False, dialect: Dialect = Dialect.CHAT) -> Told:
    """What it says, once it has come so far."""
    return read(kept_of(pieces, ids=ids)[0], dialect)


class ReadTests(SynchronousTestCase):
    """Out of what was kept."""

    def test_at_every_cut(self) -> None:
        """However it came."""
        stream = ("".join(spoken(PIECES, ids=True)) + DONE).encode()
        for pieces in every_cut(stream):
            told = told_of(pieces, ids=True)
            self.assertEqual((told.text, told.finish, told.done), ("".join(t for t, _ in PIECES), "length", True))
            self.assertEqual((told.role, told.strange, told.usage_passed), (True, "", False))
            self.assertEqual((told.tokens, told.events, told.prompt_ids), (6, 4, [1, 2, 3]))
            self.assertEqual(told.usage, Usage(3, 6))
            self.assertEqual(told.template["id"], "c-1")

    def test_truncated_everywhere(self) -> None:
        """Whole events count, half of one does not."""
        stream = "".join(spoken(PIECES, ids=True)).encode()
        for end in range(len(stream) + 1):
            told = told_of([stream[:end]], ids=True)
            whole = stream[:end].count(b"\n\n")
            self.assertEqual(told.text, "".join(text for text, _ in PIECES[: max(0, whole - 1)]))
            self.assertEqual(told.tokens, sum(len(ids) for _, ids in PIECES[: max(0, whole - 1)]))
            self.assertEqual(told.strange, "")

    def test_without_ids(self) -> None:
        """Tokens are counted by events with text."""
        told = told_of(["".join(spoken(PIECES, ids=False)).encode()])
        self.assertEqual((told.has_ids, told.tokens, told.usage), (False, 4, None))

    def test_one_event_without_ids(self) -> None:
        """All are known, or none."""
        events = [*spoken(PIECES, ids=True)[:3], *spoken(PIECES, ids=False)[3:]]
        self.assertFalse(told_of(["".join(events).encode()], ids=True).has_ids)

    def test_the_engines_own_count(self) -> None:
        """Where it says it with each event; what comes after the last word of it is counted on top."""
        more = ',"usage":{"prompt_tokens":3,"completion_tokens":%d}'
        stream = _chat('{"content":"a b"}', more=more % 2) + _chat('{"content":"c"}', more=more % 5)
        told = told_of([stream.encode()])
        self.assertEqual(told.tokens, 5)
        told.add("d", None)
        self.assertEqual(told.tokens, 6)

    def test_completions(self) -> None:
        """Their own shape."""
        event = 'data: {"id":"c","choices":[{"index":0,"text":"%s","finish_reason":%s}]}\n\n'
        told = told_of([(event % ("a", "null") + event % ("b", '"stop"')).encode()], dialect=Dialect.COMPLETIONS)
        self.assertEqual((told.text, told.finish, told.strange), ("ab", "stop", ""))

    def test_usage_and_done(self) -> None:
        """Whether the client has them."""
        told = told_of([(_chat('{"content":"a"}') + _chat("{}", '"stop"') + USAGE_EVENT).encode()])
        self.assertEqual((told.usage_passed, told.done, told.finish), (True, False, "stop"))

    def test_what_is_strange(self) -> None:
        """Nobody could go on with it."""
        for stream, why in (
            (_chat('{"content":"a"}', index=1), "more than one choice"),
            (_chat('{"tool_calls":[{"index":0}]}'), "something else than text"),
            (_chat('{"reasoning_content":"hm"}'), "something else than text"),
            (_chat('{"content":[1]}'), "something else than text"),
            ("data: {x}\n\n", "an event that is not JSON"),
            ("data: [1]\n\n", "an event that is no object"),
            ('data: {"choices":[{"index":0,"delta":{"content":"a\\"}}]}\n\n', "an event that is not JSON"),
        ):
            self.assertEqual(told_of([stream.encode()]).strange, why, stream)
        self.assertEqual(told_of([_chat('{"content":"a","reasoning_content":null}').encode()]).strange, "")
        lost = Kept(0, takes_ids=False, withholds_ids=False)
        lost.raw(b"data: {}\n\n")
        self.assertEqual(read(lost, Dialect.CHAT).strange, "more than may be kept of it")

    def test_a_text_elsewhere(self) -> None:
        """Events that differ in a text that is not the choice's are read one by one."""
        event = 'data: {"content":"%s","choices":[{"index":0,"delta":{"content":"x%d"},"finish_reason":null}]}\n\n'
        told = told_of([(event % ("a", 1)).encode(), (event % ("b", 1)).encode()])
        self.assertEqual((told.text, told.strange), ("x1x1", ""))

    def test_every_stream_that_engines_send(self) -> None:
        """It is read, or called strange; never a crash."""
        for name, (text, done, _, _) in STREAMS.items():
            told = told_of([text.encode()])
            done = done and name != "cr"  # what may be half of a CR LF is no whole line end yet
            self.assertTrue(told.strange or (told.finish and told.done == done), name)

    @settings(deadline=None)
    @given(st.lists(st.tuples(st.text(max_size=6), st.lists(st.integers(0, 200_000), min_size=1, max_size=3))))
    def test_any_text(self, pieces: list[tuple[str, list[int]]]) -> None:
        """Whatever an engine says comes out of it as it went in."""
        told = told_of([event.encode() for event in spoken(pieces, ids=True)], ids=True)
        self.assertEqual(told.text, "".join(text for text, _ in pieces))
        self.assertEqual(told.resume_at(deterministic=False, ids_passed=True)[0], [i for _, ids in pieces for i in ids])


class ResumeTests(SynchronousTestCase):
    """From where it goes on."""

    def told(self, *pieces: tuple[str, list[int]]) -> Told:
        told = Told()
        told.prompt_ids = [1]
        for text, ids in pieces:
            told.add(text, ids)
        return told

    def test_where(self) -> None:
        """Behind the last token whose text the client has for sure."""
        for pieces, deterministic, expected in (
            ([("a", [1]), ("b", [2])], True, ([1, 2], "")),
            ([("a", [1]), ("", [2]), ("", [3])], True, ([1], "")),
            ([("a", [1]), ("", [2])], False, ([1], "")),
            ([("a", [1]), ("bc", [2, 3])], True, ([1], "bc")),
            ([("a", [1]), ("bc", [2, 3])], False, ([1, 2, 3], "")),
            ([("bc", [2, 3])], True, ([], "bc")),
            ([], True, ([], "")),
        ):
            told = self.told(*pieces)
            self.assertEqual(told.resume_at(deterministic=deterministic, ids_passed=False), expected, pieces)
            self.assertEqual(told.resume_at(deterministic=deterministic, ids_passed=True)[1], "")

    def test_once_more(self) -> None:
        """What was made anew is not counted twice, and a break within it is gone on from."""
        told = self.told(("a", [1]), ("bcd", [2, 3]), ("", [4]))
        ids, again = told.resume_at(deterministic=True, ids_passed=False)
        self.assertEqual((ids, again), ([1], "bcd"))
        told.back_to(len(ids))
        self.assertEqual((told.tokens, told.tokens_within(0), told.text), (4, 1, "abcd"))
        told.add("b", [2], had=1)
        self.assertEqual((told.tokens, told.text), (4, "abcd"))
        self.assertEqual(told.resume_at(deterministic=True, ids_passed=False), ([1, 2], "cd"))
        told.add("cdx", [3, 4], had=2)
        self.assertEqual((told.tokens, told.text), (4, "abcdx"))
        self.assertEqual(told.resume_at(deterministic=True, ids_passed=False), ([1, 2], "cdx"))

    def test_tokens_at_the_end(self) -> None:
        """Those that are wholly within so many characters."""
        told = self.told(("a", [1]), ("b ", [2]), (" ", [3]), ("\n", [4]))
        self.assertEqual([told.tokens_within(size) for size in range(6)], [0, 1, 2, 2, 3, 4])
