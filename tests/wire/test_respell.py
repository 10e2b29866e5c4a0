"""A continuation in the client's spelling."""

from __future__ import annotations

from typing import Any

import orjson
from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.wire.continuation import CannotContinue, Continuation
from aibrix_twisted.wire.respell import Diverged, Respeller, closing
from aibrix_twisted.wire.routes import Dialect
from aibrix_twisted.wire.sse import SSEParser, encode_event
from aibrix_twisted.wire.told import Told
from aibrix_twisted.wire.usage import Usage
from tests.wire.streams import DONE, spoken
from tests.wire.test_told import told_of

PIECES = [("a", [7]), ("b", [8]), ("c", [9])]
USAGE = {"include_usage": True}


def begun(count: int, *, dialect: Dialect = Dialect.CHAT, ids: bool = True) -> Told:
    """A stream that broke after so many events with text."""
    events = spoken(PIECES, ids=ids)[: count + 1]
    if dialect is Dialect.COMPLETIONS:
        events = [
            f'data: {{"id":"c-1","object":"text_completion","created":1,"model":"m",'
            f'"choices":[{{"index":0,"text":"{text}","logprobs":null,"finish_reason":null,"token_ids":{tokens},'
            f'"prompt_token_ids":{"[1,2,3]" if not number else "null"}}}],"usage":null}}\n\n'
            for number, (text, tokens) in enumerate(PIECES[:count])
        ]
    return told_of([event.encode() for event in events], ids=ids, dialect=dialect)


def planned(before: int, *, dialect: Dialect = Dialect.COMPLETIONS, exact: bool = True, **more: Any) -> Continuation:
    """What was asked for."""
    return Continuation(b"/p", b"", dialect, more.pop("again", ""), before, exact, **more)


def completion(text: str, ids: list[int] | None, finish: str | None = None, **more: Any) -> bytes:
    """An event of a continuation."""
    choice = {"index": 0, "text": text, "logprobs": None, "finish_reason": finish, "token_ids": ids, **more}
    return encode_event(orjson.dumps({"id": "other", "created": 9, "model": "m2", "choices": [choice]}))


def usage(given: int, made: int, **more: Any) -> bytes:
    """The last event of a continuation but C{[DONE]}."""
    said = {"prompt_tokens": given, "completion_tokens": made, "total_tokens": given + made, **more}
    return encode_event(orjson.dumps({"id": "other", "choices": [], "usage": said}))


def documents(out: bytes) -> list[Any]:
    """What the client reads."""
    return [orjson.loads(raw[6:]) for raw in SSEParser(max_bytes=1 << 20).feed(out) if raw != DONE.encode()]


class RespellTests(SynchronousTestCase):
    """Of chat, continued by tokens."""

    def respelled(self, events: list[bytes], asked: dict[str, Any], told: Told, plan: Continuation) -> list[Any]:
        self.respeller = Respeller(told, plan, Dialect.CHAT, asked)
        return documents(b"".join(map(self.respeller.respell, events)))

    def test_one_stream(self) -> None:
        """Its id, its time, its model; one role; the members of its choices; usage for the whole."""
        told = begun(1)
        events = [completion("b", [8]), completion("c", [9], "length"), usage(4, 2), DONE.encode()]
        out = self.respelled(events, {"stream_options": USAGE}, told, planned(1))
        stamps = {"id": "c-1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
        choice = {"index": 0, "logprobs": None, "token_ids": None}
        self.assertEqual(
            out,
            [
                {**stamps, "choices": [{**choice, "delta": {"content": "b"}, "finish_reason": None}]},
                {**stamps, "choices": [{**choice, "delta": {"content": "c"}, "finish_reason": "length"}]},
                {**stamps, "choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 3, "total_tokens": 6}},
            ],
        )
        self.assertEqual((told.text, told.tokens, told.finish), ("abc", 3, "length"))
        self.assertEqual((self.respeller.usage, self.respeller.done), (Usage(3, 3), True))
        self.assertEqual(self.respeller.ending(), DONE.encode())

    def test_usage_that_nobody_asked_for(self) -> None:
        """It is known, and not the client's."""
        events = [completion("b", [8], "stop"), usage(4, 1, prompt_tokens_details={"cached_tokens": 4})]
        self.assertEqual(len(self.respelled(events, {}, begun(1), planned(1))), 1)
        self.assertEqual(self.respeller.usage, Usage(3, 2, 3))

    def test_continuous_usage(self) -> None:
        """With each event, of the whole; once at the end."""
        event = orjson.loads(completion("b", [8])[6:])
        event["usage"] = {"prompt_tokens": 4, "completion_tokens": 1}
        asked = {"stream_options": {**USAGE, "continuous_usage_stats": True}}
        events = [encode_event(orjson.dumps(event)), completion("", [], "stop"), usage(4, 1), usage(4, 1)]
        out = self.respelled(events, asked, begun(1), planned(1))
        self.assertEqual([event["usage"]["completion_tokens"] for event in out], [2, 2, 2])

    def test_tokens_for_a_client_that_asked(self) -> None:
        """As they come."""
        out = self.respelled([completion("b", [8])], {"return_token_ids": True}, begun(1), planned(1))
        self.assertEqual(out[0]["choices"][0]["token_ids"], [8])

    def test_what_the_client_has(self) -> None:
        """Text that comes again is not said twice; however it is cut now."""
        for again, events, expected in (
            ("bc", [completion("b", [8]), completion("cd", [9])], ["d"]),
            ("bc", [completion("bcd", [8, 9])], ["d"]),
            ("bc", [completion("b", [8]), completion("c", [9]), completion("d", [10])], ["d"]),
            ("", [completion("", [8]), completion("d", [9])], ["d"]),
        ):
            told = begun(1)
            out = self.respelled(events, {}, told, planned(1, again=again))
            self.assertEqual([event["choices"][0]["delta"]["content"] for event in out], expected)

    def test_it_goes_on_otherwise(self) -> None:
        """Seen, before any of it is passed on."""
        for again, event in (
            ("bc", completion("x", [8])),
            ("bc", completion("b", [8], "stop")),
            ("", b"data: {x}\n\n"),
            ("", b"data: []\n\n"),
            ("", b'data: {"choices":[1]}\n\n'),
            ("", b'data: {"choices":[{"index":1,"text":"a"}]}\n\n'),
            ("", b'data: {"choices":[{"index":0,"delta":{"content":"a"}}]}\n\n'),
        ):
            respeller = Respeller(begun(1), planned(1, again=again), Dialect.CHAT, {})
            self.assertRaises(Diverged, respeller.respell, event)
        respeller = Respeller(begun(1), planned(1), Dialect.CHAT, {})
        respeller.respell(completion("b", [8], "stop"))
        self.assertRaises(Diverged, respeller.respell, completion("c", [9]))

    def test_errors_and_comments(self) -> None:
        """An error is remembered, and not passed on; a comment is nobody's."""
        for error in (b'data: {"error":{"message":"m"}}\n\n', b"event: error\ndata: {}\n\n"):
            respeller = Respeller(begun(1), planned(1), Dialect.CHAT, {})
            self.assertEqual((respeller.respell(b": c\n\n"), respeller.respell(error)), (b"", b""))
            self.assertEqual(respeller.failed, error)

    def test_completions(self) -> None:
        """In their own shape; C{usage} is null where it was."""
        respeller = Respeller(begun(2, dialect=Dialect.COMPLETIONS), planned(2), Dialect.COMPLETIONS, {})
        out = documents(respeller.respell(completion("c", [9], "length", stop_reason=None)))[0]
        self.assertEqual((out["id"], out["object"], out["usage"]), ("c-1", "text_completion", None))
        choice = out["choices"][0]
        self.assertEqual((choice["text"], choice["finish_reason"], choice["token_ids"]), ("c", "length", None))

    def test_by_text(self) -> None:
        """The tokens of the rest are not those of the whole: it is not gone on by tokens any more."""
        told = begun(1)
        chat = [event.encode() for event in spoken([("b", [8]), ("c", [9])], ids=True)]
        out = self.respelled(chat, {}, told, planned(1, dialect=Dialect.CHAT, exact=False))
        self.assertEqual([event["choices"][0]["delta"] for event in out], [{"content": "b"}, {"content": "c"}])
        self.assertFalse(told.has_ids)

    def test_usage_that_rides_along(self) -> None:
        """In the event that finishes, as llama.cpp's completions have it: it is that of the whole."""
        event = orjson.loads(completion("c", None, "length")[6:])
        event["usage"] = {"prompt_tokens": 5, "completion_tokens": 1, "total_tokens": 6}
        for asked in ({}, {"stream_options": USAGE}):
            told = begun(2, dialect=Dialect.COMPLETIONS, ids=False)
            respeller = Respeller(told, planned(2, exact=False), Dialect.COMPLETIONS, asked)
            out = documents(respeller.respell(encode_event(orjson.dumps(event))))
            self.assertEqual(out[0]["usage"], {"prompt_tokens": 3, "completion_tokens": 3, "total_tokens": 6})
            self.assertTrue(told.usage_passed)

    def test_anew(self) -> None:
        """Whatever comes, but for what the client has."""
        for given, roles in ((begun(0), 0), (Told(), 1)):
            call = (
                b'data: {"id":"x","choices":[{"index":0,"delta":{"role":"assistant","tool_calls":[{"index":0}]}}]}\n\n'
            )
            plan = planned(0, dialect=Dialect.CHAT, anew=True)
            respeller = Respeller(given, plan, Dialect.CHAT, {})
            first = documents(respeller.respell(call))[0]
            self.assertEqual(first["choices"][0]["delta"]["tool_calls"], [{"index": 0}])
            self.assertEqual("role" in first["choices"][0]["delta"], bool(roles))
            self.assertEqual(first["id"], "x" if roles else "c-1")
            self.assertEqual(given.strange, "something else than text")
        self.assertEqual(Respeller(begun(0), plan, Dialect.CHAT, {}).respell(spoken(PIECES, ids=True)[0].encode()), b"")


class ClosingTests(SynchronousTestCase):
    """What lacks nothing but its end."""

    def test_each(self) -> None:
        """What is missing, and no more."""
        told = begun(3)
        self.assertEqual(closing(told, Dialect.CHAT, {}, None), DONE.encode())
        out = documents(closing(told, Dialect.CHAT, {"stream_options": USAGE}, None))
        self.assertEqual(out[0]["usage"], {"prompt_tokens": 3, "completion_tokens": 3, "total_tokens": 6})
        told.usage_passed = True
        self.assertEqual(closing(told, Dialect.CHAT, {"stream_options": USAGE}, None), DONE.encode())
        told.done = True
        self.assertEqual(closing(told, Dialect.CHAT, {"stream_options": USAGE}, None), b"")

    def test_its_finish(self) -> None:
        """Where all was said that was asked for."""
        for dialect, said in ((Dialect.CHAT, {"delta": {}}), (Dialect.COMPLETIONS, {"text": ""})):
            out = documents(closing(begun(2, dialect=dialect), dialect, {}, "length"))
            self.assertEqual(out[0]["choices"][0] | said, out[0]["choices"][0])
            self.assertEqual(out[0]["choices"][0]["finish_reason"], "length")
            self.assertIsNone(out[0]["choices"][0]["token_ids"])

    def test_usage_that_is_not_known(self) -> None:
        """Is not made up."""
        with self.assertRaisesRegex(CannotContinue, "usage"):
            closing(begun(3, ids=False), Dialect.CHAT, {"stream_options": USAGE}, None)
