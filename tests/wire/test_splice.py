"""Edits change what they name, and not a byte more."""

from __future__ import annotations

from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.wire.splice import ask_for_ids, force_include_usage, set_form_model, set_model
from tests.wire.test_openai import form

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**9), 10**9)
    | st.text(max_size=8)
    | st.sampled_from(['"}', "\\", '{"model":1']),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["model", "stream_options", "a", 'q"', "include_usage"]), inner, max_size=3)
    ),
    max_leaves=8,
)
DOCUMENTS = st.dictionaries(st.text(max_size=5) | st.sampled_from(["messages", "n"]), VALUES, max_size=5)


def spellings(document: Any) -> list[bytes]:
    """The same document with and without space."""
    return [orjson.dumps(document), orjson.dumps(document, option=orjson.OPT_INDENT_2) + b" \n"]


class SetModelTests(SynchronousTestCase):
    """An alias becomes the model's name."""

    @given(DOCUMENTS, st.text(min_size=1, max_size=8), st.text(min_size=1, max_size=8), st.booleans())
    def test_only_the_model_changes(self, document: dict[str, Any], old: str, new: str, first: bool) -> None:
        """In any document: it decodes to the same with another model, and the bytes around it are the same."""
        document.pop("model", None)
        document = {"model": old, **document} if first else {**document, "model": old}
        for body in spellings(document):
            edited = set_model(body, new)
            self.assertEqual(orjson.loads(edited), {**document, "model": new})
            value = orjson.dumps(old)
            cut = [at for at in range(len(body)) if body.startswith(value, at)]
            self.assertIn(edited, [body[:at] + orjson.dumps(new) + body[at + len(value) :] for at in cut])

    def test_spelled_with_escapes(self) -> None:
        """A name is what it decodes to; numbers, space and order stay as they were spelled."""
        body = b'{ "n" : 1.0e0, "mod\\u0065l":\t"a" , "x": {"model": "b"} }'
        self.assertEqual(set_model(body, "c"), b'{ "n" : 1.0e0, "mod\\u0065l":\t"c" , "x": {"model": "b"} }')

    def test_in_a_form(self) -> None:
        """The one field, and nothing of the file."""
        body = form(('; name="file"; filename="f"', b"model\r\n\0"), ('; name="model"', b"old"))
        edited = set_form_model(body, b"multipart/form-data; boundary=XyZ", "new-name")
        self.assertEqual(edited, body.replace(b"old", b"new-name"))


class ForceUsageTests(SynchronousTestCase):
    """C{stream_options.include_usage} becomes true."""

    @given(DOCUMENTS, st.sampled_from(["absent", "null", "empty", "false", "other", "both"]))
    def test_only_that_changes(self, document: dict[str, Any], how: str) -> None:
        """In any document, however much of it was there."""
        document.pop("stream_options", None)
        options: Any = {
            "null": None, "empty": {}, "false": {"include_usage": False}, "other": {"a": [1]},
            "both": {"a": "}", "include_usage": None, "b": {}},
        }.get(how)  # fmt: skip
        if how != "absent":
            document = {**document, "stream_options": options, "z": 1}
        for body in spellings(document):
            edited = force_include_usage(body, has_options=how != "absent")
            expected = {**(options or {}), "include_usage": True}
            self.assertEqual(orjson.loads(edited), {**document, "stream_options": expected})
            self.assertLessEqual(len(edited), len(body) + len(b',"stream_options":{"include_usage":true}'))

    def test_asked_for_tokens(self) -> None:
        """Whether it speaks of them or not."""
        self.assertEqual(ask_for_ids(b'{"a": 1 }', has=False), b'{"a": 1,"return_token_ids":true }')
        self.assertEqual(
            ask_for_ids(b'{"return_token_ids" : false, "a": null}', has=True), b'{"return_token_ids" : true, "a": null}'
        )

    def test_every_other_byte_stays(self) -> None:
        """Shown whole."""
        self.assertEqual(
            force_include_usage(b'{"a": 1.50 }\n', has_options=False),
            b'{"a": 1.50,"stream_options":{"include_usage":true} }\n',
        )
        self.assertEqual(
            force_include_usage(b'{"stream_options" : { "x":1 } , "a":2}', has_options=True),
            b'{"stream_options" : { "x":1,"include_usage":true } , "a":2}',
        )
