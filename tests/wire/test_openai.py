"""What a request asks."""

from __future__ import annotations

import orjson
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.wire.bounds import BadRequest
from aibrix_twisted.wire.openai import Asked, peek
from aibrix_twisted.wire.routes import ROUTES

JSON = b"application/json"


def ask(path: str, body: object, content_type: bytes | None = JSON) -> Asked:
    """Peek at a body, given as a document or as bytes."""
    return peek(ROUTES[path.encode()], content_type, body if isinstance(body, bytes) else orjson.dumps(body))


class PeekTests(SynchronousTestCase):
    """The members on which decisions hang."""

    def test_chat(self) -> None:
        """All that is read."""
        asked = ask(
            "/v1/chat/completions",
            {
                "model": "m", "stream": True, "user": "u", "max_tokens": 7, "n": 3, "messages": [],
                "stream_options": {"include_usage": True},
            },
        )  # fmt: skip
        self.assertEqual((asked.model, asked.stream, asked.user, asked.max_tokens), ("m", True, "u", 7))
        self.assertEqual((asked.choices, asked.stream_options, asked.include_usage), (3, True, True))
        self.assertFalse(asked.stateful)

    def test_max_tokens_in_each_spelling(self) -> None:
        """The newest word first."""
        self.assertEqual(
            ask("/v1/chat/completions", {"model": "m", "max_tokens": 1, "max_completion_tokens": 2}).max_tokens, 2
        )
        self.assertEqual(ask("/v1/responses", {"model": "m", "max_output_tokens": 3}).max_tokens, 3)
        self.assertIsNone(ask("/v1/chat/completions", {"model": "m", "max_tokens": "x"}).max_tokens)

    def test_choices_of_completions(self) -> None:
        """C{n} for each prompt; a list of token ids is one prompt."""
        for prompt, n, expected in (
            ("a", 1, 1),
            (["a", "b"], 2, 4),
            ([1, 2, 3], 1, 1),
            ([[1], [2]], None, 2),
            ([], 1, 1),
        ):
            self.assertEqual(ask("/v1/completions", {"model": "m", "prompt": prompt, "n": n}).choices, expected)

    def test_stateful_responses(self) -> None:
        """Stored unless said otherwise; one that builds on another is."""
        for more, expected in (
            ({}, True),
            ({"store": True}, True),
            ({"store": False}, False),
            ({"store": False, "previous_response_id": "r"}, True),
        ):
            self.assertIs(ask("/v1/responses", {"model": "m", **more}).stateful, expected)

    def test_paths_that_do_without_a_model(self) -> None:
        """An empty name, for the only model."""
        for path in ("/tokenize", "/v1/tokenize", "/detokenize", "/generate", "/pooling"):
            self.assertEqual(ask(path, {}).model, "")

    def test_stream_options_that_cannot_be_edited(self) -> None:
        """What is neither object nor null is the engine's to refuse; no usage is forced into it."""
        self.assertTrue(ask("/v1/chat/completions", {"model": "m", "stream_options": 5}).include_usage)
        self.assertFalse(ask("/v1/chat/completions", {"model": "m", "stream_options": None}).include_usage)

    def test_tokens(self) -> None:
        """Spoken of, and wanted."""
        for more, says, wants in (({}, False, False), (False, True, False), (None, True, False), (True, True, True)):
            document = {"model": "m"} if more == {} else {"model": "m", "return_token_ids": more}
            asked = ask("/v1/chat/completions", document)
            self.assertEqual((asked.says_ids, asked.token_ids), (says, wants), more)

    def test_bad_bodies(self) -> None:
        """Each says which member, what was found, what was expected."""
        deep = b'{"model":"m","x":' + b"[" * 70 + b"]" * 70 + b"}"
        for body, param, words in (
            (b"", None, "empty"),
            (b"{", None, "not JSON"),
            (b"\xff{}", None, "not JSON"),
            (b"\xef\xbb\xbf{}", None, "not JSON"),
            (b'{"model":NaN}', None, "not JSON"),
            (b'{"model":"\\ud800"}', None, "not JSON"),
            (b"[]", None, "expected a JSON object"),
            (b'"x"', None, "expected a JSON object"),
            (b"{}", "model", "required"),
            (b'{"model":5}', "model", "expected a string"),
            (b'{"model":""}', "model", "printable"),
            (b'{"model":"a\\nb"}', "model", "printable"),
            (b'{"model":"%b"}' % (b"m" * 300), "model", "printable"),
            (b'{"model":"m","stream":"yes"}', "stream", "true or false"),
            (b'{"model":"m","stream":1}', "stream", "true or false"),
            (b'{"model":"a","model":"b"}', "model", "twice"),
            (b'{"model":"a","mod\\u0065l":"b"}', "model", "twice"),
            (b'{"stream":true,"model":"a","stream":false}', "stream", "twice"),
            (b'{"model" \r\n\t:"a","model":"b"}', "model", "twice"),
            (b'{"max\\u005Ftokens":1,"model":"a","max_tokens":2}', "max_tokens", "twice"),
            (b'{"user":"user","messages":[{"role":"user","user":"x"}],"model":"a","use\\u0072":1}', "user", "twice"),
            (deep, None, "deeper than 64"),
            (b'{"model":"m","x":' + b"[" * 5000 + b"]" * 5000 + b"}", None, ""),
        ):
            error = self.assertRaises(BadRequest, ask, "/v1/chat/completions", body)
            self.assertEqual((error.status, error.param), (400, param), body[:60])
            self.assertIn(words, str(error))
            self.assertLess(len(str(error)), 200)

    def test_the_same_name_further_in_is_no_double(self) -> None:
        """A tool's schema may have a property called model."""
        document = {"model": "m", "tools": [{"model": 1, "stream": 2}], "metadata": {"model": "x", "user": "y"}}
        self.assertEqual(ask("/v1/chat/completions", document).model, "m")
        self.assertEqual(ask("/v1/chat/completions", b'{"model":"m","x":"caf\\u00e9"}').model, "m")
        inner = b'{"model":"m","tools":[{"model":"x","stream":1},{"model":"y"}],"x":"\\u003cmodel\\u003e"}'
        self.assertEqual(ask("/v1/chat/completions", inner).model, "m")

    def test_many_shallow_brackets(self) -> None:
        """A long conversation is not a deep one."""
        document = {"model": "m", "messages": [{"content": [{"text": "[{"}]}] * 200}
        self.assertEqual(ask("/v1/chat/completions", document).model, "m")

    def test_content_type(self) -> None:
        """JSON by any of its names, or nothing said."""
        for kind in (b"application/json; charset=utf-8", b"Application/JSON", b"application/vnd.x+json", None):
            self.assertEqual(ask("/v1/completions", {"model": "m"}, kind).model, "m")
        for kind in (b"text/plain", b"application/x-www-form-urlencoded", b"", b"application/jsonp"):
            self.assertEqual(self.assertRaises(BadRequest, ask, "/v1/completions", {"model": "m"}, kind).status, 415)

    @given(st.binary(max_size=40))
    def test_any_bytes(self, body: bytes) -> None:
        """Read or refused; nothing else."""
        try:
            asked = ask("/generate", body)
        except BadRequest:
            return
        self.assertIsInstance(asked, Asked)


def form(*parts: tuple[str, bytes], boundary: bytes = b"XyZ") -> bytes:
    """A form of these parts: what follows C{form-data}, and the value."""
    pieces = [
        b"--%b\r\nContent-Disposition: form-data%b\r\n\r\n%b\r\n" % (boundary, more.encode(), value)
        for more, value in parts
    ]
    return b"".join(pieces) + b"--" + boundary + b"--\r\n"


class FormTests(SynchronousTestCase):
    """Audio and images come as forms."""

    TYPE = b'multipart/form-data; boundary="XyZ"'

    def test_fields(self) -> None:
        """Model, stream and user, wherever they are; the file is not looked into."""
        body = form(
            ('; name="file"; filename="model"', b"\r\n--XyX\r\n\0binary"),
            ('; name="model"', b"whisper"),
            ("; name=stream", b"true"),
            ('; name="user"', "zoë".encode()),
            ('; name="language"', b""),
        )
        asked = ask("/v1/audio/transcriptions", body, self.TYPE)
        self.assertEqual((asked.model, asked.stream, asked.user), ("whisper", True, "zoë"))

    def test_bad_forms(self) -> None:
        """Each is refused with what is wrong."""
        good = form(('; name="model"', b"m"))
        for body, kind, status in (
            (good, JSON, 415),
            (good, None, 415),
            (good, b"multipart/form-data", 400),
            (good, b"multipart/form-data; boundary=a; boundary=b", 400),
            (good, b"multipart/form-data; boundary=other", 400),
            (good[:-6], self.TYPE, 400),
            (good.replace(b"\r\n\r\n", b"\r\n"), self.TYPE, 400),
            (b"", self.TYPE, 400),
            (form(('; name="model"', b"m"), ('; name="model"', b"n")), self.TYPE, 400),
            (form(("", b"m")), self.TYPE, 400),
            (form(('; name="model"; filename="x"', b"m")), self.TYPE, 400),
            (form(('; name="model"', b"\xff")), self.TYPE, 400),
            (form(('; name="model"', b"m" * 5000)), self.TYPE, 400),
            (form(('; name="model"', b"m"), ('; name="stream"', b"maybe")), self.TYPE, 400),
            (form(*[('; name="x"', b"")] * 200), self.TYPE, 400),
        ):
            error = self.assertRaises(BadRequest, ask, "/v1/audio/transcriptions", body, kind)
            self.assertEqual(error.status, status, (body[:80], kind))
