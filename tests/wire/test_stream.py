"""Watching a stream: nothing is changed, everything that matters is seen."""

from __future__ import annotations

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from aibrix_twisted.interfaces import IBodyDecoder, Payload
from aibrix_twisted.wire.kept import Kept
from aibrix_twisted.wire.routes import Dialect
from aibrix_twisted.wire.stream import StreamWatch
from aibrix_twisted.wire.usage import Usage
from tests.cuts import every_cut
from tests.wire.streams import DONE, ERROR_EVENT, MESSAGES, RESPONSES, STREAMS, USAGE_EVENT, VLLM, _chat


def a_watch(dialect: Dialect = Dialect.CHAT, **more: object) -> StreamWatch:
    """One, with what matters given."""
    arguments: dict[str, object] = {"choices": 1, "done_required": True, **more}
    return StreamWatch(dialect, **arguments)  # type: ignore[arg-type]


def run(watch: StreamWatch, pieces: list[bytes]) -> tuple[bytes, Payload]:
    """What passed, what was held at the end included, and the verdict."""
    passed = b"".join(watch.feed(piece) for piece in pieces)
    payload = watch.finish()
    return passed + watch.held, payload


class EngineTests(SynchronousTestCase):
    """Each engine's spelling, at every cut."""

    def test_whole_streams_at_every_cut(self) -> None:
        """Bytes untouched, events counted, usage read, the payload whole."""
        for name, (text, done, events, tokens) in STREAMS.items():
            stream = text.encode()
            for pieces in every_cut(stream):
                watch = a_watch(done_required=done)
                passed, payload = run(watch, pieces)
                self.assertEqual((passed, payload), (stream, Payload.WHOLE), (name, len(pieces[0])))
                self.assertEqual((watch.events, watch.saw_done), (events, done), (name, len(pieces[0])))
                self.assertEqual(watch.usage.output if watch.usage else None, tokens, name)

    def test_every_truncation_is_seen(self) -> None:
        """However far a stream came: not whole before its last event is."""
        for name, (text, done, _, _) in STREAMS.items():
            stream = text.encode()
            ends_at = len(stream) - (1 if name in ("crlf", "cr") else 0)  # a CR that may be half of a CR LF ends it
            for end in range(1, ends_at):
                watch = a_watch(done_required=done)
                self.assertEqual(run(watch, [stream[:end]]), (stream[:end], Payload.CUT), (name, end))

    def test_responses_and_messages(self) -> None:
        """Their own last words, and their own usage."""
        for dialect, text in ((Dialect.RESPONSES, RESPONSES), (Dialect.MESSAGES, MESSAGES)):
            stream = text.encode()
            for pieces in every_cut(stream):
                watch = a_watch(dialect)
                self.assertEqual(run(watch, pieces), (stream, Payload.WHOLE))
                self.assertEqual(watch.usage, Usage(3, 2, 1))
            self.assertEqual(run(a_watch(dialect), [stream[: stream.rindex(b"event:")]])[1], Payload.CUT)

    def test_early_done_is_not_whole(self) -> None:
        """C{[DONE]} before every choice has finished, as an engine sends on SIGTERM."""
        stream = (VLLM[: VLLM.rindex("data:")] + DONE).encode()
        self.assertEqual(run(a_watch(), [stream])[1], Payload.CUT)

    def test_torn_after_the_finish(self) -> None:
        """Of an engine of which it is not known that it ends with C{[DONE]}, too: it was about to say more."""
        stream = _chat("{}", '"stop"').encode()
        usage = b'data: {"choices":[],"usage":{"prompt_tokens":1}}'
        for rest in (b"data", b"data: [DO", usage[:-9], usage, usage + b"\n"):
            self.assertEqual(run(a_watch(done_required=False), [stream, rest]), (stream + rest, Payload.CUT), rest)
        for rest in (b"", b"\n", b"data: [DONE]", b"data: [DONE]\n", b": bye\n"):
            watch = a_watch(done_required=False)
            self.assertEqual(run(watch, [stream + rest]), (stream + rest, Payload.WHOLE), rest)

    def test_a_last_event_that_ends_with_cr(self) -> None:
        """It is whole, though its end could have been half of a CR LF until no more came."""
        stream = _chat("{}", '"stop"').replace("\n", "\r").encode()
        self.assertEqual(run(a_watch(done_required=False), [stream]), (stream, Payload.WHOLE))

    def test_all_choices_must_finish(self) -> None:
        """With n=2, one finish is not enough; two are, in any order."""
        one = _chat('{"content":"a"}') + _chat("{}", '"stop"', index=1)
        self.assertEqual(run(a_watch(choices=2), [(one + DONE).encode()])[1], Payload.CUT)
        both = one + _chat("{}", '"length"', index=0)
        watch = a_watch(choices=2)
        self.assertEqual(run(watch, [(both + DONE).encode()])[1], Payload.WHOLE)
        self.assertEqual(watch.finished, {0, 1})

    def test_an_error_event_breaks_it(self) -> None:
        """Also with C{[DONE]} behind it; its bytes pass, and are kept for the log."""
        for text in (
            _chat('{"content":"a"}') + ERROR_EVENT + DONE,
            VLLM + ERROR_EVENT + DONE,
            'event: error\ndata: {"message":"x"}\n\n',
        ):
            for pieces in every_cut(text.encode()):
                watch = a_watch()
                self.assertEqual(run(watch, pieces), (text.encode(), Payload.BROKEN))
                self.assertIn(watch.reported, text.encode())
        responses = 'event: response.failed\ndata: {"type":"response.failed","response":{"error":{"code":"x"}}}\n\n'
        self.assertEqual(run(a_watch(Dialect.RESPONSES), [responses.encode()])[1], Payload.BROKEN)

    def test_dialects_without_a_last_word_are_opaque(self) -> None:
        """Of them only the framing can be asked."""
        self.assertEqual(run(a_watch(Dialect.OTHER), [b"data: x\n\n"])[1], Payload.OPAQUE)

    def test_many_events_of_interest(self) -> None:
        """An engine that says usage in every event of a long stream is followed, in bounded memory."""
        event = _chat('{"content":"a"}', more=',"usage":{"prompt_tokens":3,"completion_tokens":1}').encode()
        watch = a_watch()
        for _ in range(5000):
            watch.feed(event)
        self.assertLess(len(watch._interesting), 2000)
        watch.feed((_chat("{}", '"stop"') + DONE).encode())
        self.assertEqual((watch.finish(), watch.events), (Payload.WHOLE, 5002))

    def test_an_event_beyond_the_bound(self) -> None:
        """It passes, and the stream is no longer judged by what is in it."""
        watch = a_watch(max_bytes=100)
        stream = b"data: " + b"x" * 500 + b"\n\n" + DONE.encode()
        self.assertEqual(run(watch, [stream[:50], stream[50:300], stream[300:]]), (stream, Payload.OPAQUE))

    def test_only_whole_events_pass(self) -> None:
        """Half an event is held until the rest of it comes, so that an error event can follow what has passed."""
        first, second = _chat('{"content":"a"}').encode(), _chat('{"content":"b"}').encode()
        for cut in range(1, len(second)):
            watch = a_watch()
            self.assertEqual(watch.feed(first + second[:cut]), first)
            self.assertEqual(watch.feed(second[cut:]), second)


class WithholdingTests(SynchronousTestCase):
    """Usage that the gateway asked for is not the client's."""

    def test_the_one_event_is_withheld_at_every_cut(self) -> None:
        """Exactly that event, with its blank line, and nothing else."""
        for name in ("vllm_usage", "crlf", "cr", "llama_server"):
            stream = STREAMS[name][0].encode()
            usage_at = stream.index(b'"choices":[],')
            start = stream.rindex(b"data:", 0, usage_at)
            end = stream.index(b"data:", usage_at)
            for pieces in every_cut(stream):
                watch = a_watch(withhold_usage=True)
                passed, payload = run(watch, pieces)
                self.assertEqual((passed, payload), (stream[:start] + stream[end:], Payload.WHOLE), name)
                self.assertEqual(watch.usage.output if watch.usage else None, 2)

    def test_usage_with_choices_is_the_clients(self) -> None:
        """Continuous usage rides in events that are not ours to take."""
        text = STREAMS["continuous_usage"][0]
        passed, _ = run(a_watch(withhold_usage=True), [text.encode()])
        self.assertEqual(passed, text.replace(USAGE_EVENT, "").encode())

    def test_a_truncated_stream_passes_whole(self) -> None:
        """What was held of a half event at the end is the client's."""
        stream = STREAMS["vllm_usage"][0].encode()
        for end in range(1, stream.index(b'"choices":[],')):
            passed, _ = run(a_watch(withhold_usage=True), [stream[:end]])
            self.assertEqual(passed, stream[:end])

    def test_content_that_looks_like_usage(self) -> None:
        """A text that quotes such an event is text."""
        quoted = orjson.dumps(USAGE_EVENT).decode()
        stream = (_chat(f'{{"content":{quoted}}}') + _chat("{}", '"stop"') + DONE).encode()
        for pieces in every_cut(stream):
            self.assertEqual(run(a_watch(withhold_usage=True), pieces), (stream, Payload.WHOLE))

    def test_a_text_without_end(self) -> None:
        """An event that breaks off within its text passes as it is, wherever it is cut."""
        stream = (_chat('{"content":"Hel"}') + 'data: {"choices":[{"delta":{"content":"lo\n\n' + DONE).encode()
        for pieces in every_cut(stream):
            self.assertEqual(run(a_watch(), pieces), (stream, Payload.CUT))

    def test_an_event_beyond_the_bound_ends_the_withholding(self) -> None:
        """Nothing is lost: what was held passes, in order."""
        stream = b"data: a\n\ndata: " + b"x" * 500 + b"\n\n" + USAGE_EVENT.encode()
        for size in (1, 7, 64, 300, len(stream)):
            watch = a_watch(withhold_usage=True, max_bytes=100)
            pieces = [stream[at : at + size] for at in range(0, len(stream), size)]
            self.assertEqual(run(watch, pieces)[0], stream)


class AnyTextTests(SynchronousTestCase):
    """The fast path takes nothing for what it is not."""

    @settings(max_examples=150)
    @given(
        st.lists(
            st.one_of(
                st.text(max_size=12),
                st.sampled_from(
                    ['"finish_reason":"stop"', '"usage":{}', "[DONE]", '"error"', "\\", '\\"', "\n\n", "🚀"]
                ),
            ),
            max_size=12,
        ),
        st.booleans(),
        st.randoms(use_true_random=False),
    )
    def test_any_content_passes_and_is_counted_once(self, texts, withhold, lot) -> None:  # type: ignore[no-untyped-def]
        """Whatever the model says, however the reads fall."""
        events = [_chat(f'{{"content":{orjson.dumps(text).decode()}}}').encode() for text in texts]
        stream = b"".join(events) + (_chat("{}", '"stop"') + DONE).encode()
        pieces, rest = [], stream
        while rest:
            at = lot.choice([len(rest), max(1, rest.find(b"\n\n") + 2), lot.randrange(1, len(rest) + 1)])
            pieces.append(rest[:at])
            rest = rest[at:]
        watch = a_watch(withhold_usage=withhold)
        self.assertEqual(run(watch, pieces), (stream, Payload.WHOLE))
        self.assertEqual((watch.events, watch.usage), (len(texts) + 2, None))

    def test_it_is_a_decoder(self) -> None:
        """By its interface."""
        verifyObject(IBodyDecoder, a_watch())


class BreakTests(SynchronousTestCase):
    """Events that are judged before they pass."""

    def watch(self, *, may: bool, kept: Kept | None = None) -> StreamWatch:
        self.asked = 0

        def may_break() -> bool:
            self.asked += 1
            return may

        return a_watch(kept=kept, may_break=may_break)

    def test_an_error_or_an_early_done(self) -> None:
        """Is not passed, where the stream can be continued; nor is what follows it; else it is, as it came."""
        begun = _chat('{"content":"a"}')
        for broke in (ERROR_EVENT, DONE):
            stream = (begun + broke + DONE).encode()
            for pieces in every_cut(stream):
                watch = self.watch(may=True)
                passed = b""
                for piece in pieces:
                    passed += watch.feed(piece)
                    if watch.broke:
                        break
                self.assertEqual((passed, watch.broke, self.asked), (begun.encode(), broke.encode(), 1))
                watch = self.watch(may=False)
                self.assertEqual(run(watch, pieces)[0], stream)
                self.assertEqual(watch.broke, b"")

    def test_what_is_none(self) -> None:
        """C{[DONE]} where all is finished; a text that speaks of errors; what comes after an error that passed."""
        texts = _chat('{"content":"[DONE] \\"error\\":"}') + _chat('{"content":"error"}', '"stop"')
        for text, _, _, _ in (*STREAMS.values(), (texts + DONE, True, 0, 0)):
            if "error" not in text.replace(texts, ""):
                watch = self.watch(may=True)
                self.assertEqual(run(watch, [text.encode()])[0], text.encode())
        watch = self.watch(may=False)
        watch.feed(ERROR_EVENT.encode())
        watch.feed(DONE.encode())
        self.assertEqual(self.asked, 1)

    def test_what_is_kept_by_then(self) -> None:
        """All that passed, in the same read too; not what broke it."""
        seen = []
        kept = Kept(1 << 20, takes_ids=False, withholds_ids=False)
        watch = a_watch(kept=kept, may_break=lambda: bool(seen.append(len(list(kept.passed()))) or True))
        watch.feed((_chat('{"content":"a"}') + _chat('{"x":1}') + ERROR_EVENT).encode())
        self.assertEqual(seen, [2])
