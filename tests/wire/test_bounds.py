"""Bounds of a body: beyond each of them it is refused by name, and up to it it is not."""

from __future__ import annotations

import json
from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.wire.bounds import BadRequest, Bounds, check_document, check_members

BOUNDS = Bounds(depth=6, names=20, number=32, choices=4, stops=3, grammar_bytes=12)


def check(body: bytes) -> None:
    """Hold it against both."""
    document = orjson.loads(body)
    check_document(body, document, BOUNDS)
    check_members(document, BOUNDS)


class DocumentTests(SynchronousTestCase):
    """The document as such."""

    def test_good(self) -> None:
        """What looks like more than there is, and what is just not too much."""
        for body in (
            b'{"a":{"b":{"c":{"d":{"e":{}}}}}}',
            b'{"a":[[[[[1]]]]]}',
            b"{%b}" % b",".join(b'"%d":1' % n for n in range(20)),
            b'{"a":%b,"b":-1.5e+10}' % (b"1" * 32),
            b'{"a":"%b","b":1.5}' % (b"1" * 40),
            b'{"a":"%b","b":1.5}' % (b"-" * 40),
            rb'{"a":"{\"a\":1,\"a\":2}","b":" a : b"}',
            rb'{"a\\":1,"b\\\\":2}',
            b'{"a" : 1, "b"\n:\t2}',
            b'{"a":{"b":1},"c":{"b":2},"d":[{"b":3},{"b":4}]}',
            b'{"a":[%b]}' % b",".join([b"1"] * 5000),
            '{"ä":1,"a":2,"Ä":3}'.encode(),
        ):
            check(body)

    def test_bad(self) -> None:
        """Each is named."""
        many = b",".join(b'"%d":1' % n for n in range(21))
        for body, words in (
            (b'{"a":{"b":{"c":{"d":{"e":{"f":{}}}}}}}', "deeper than 6"),
            (b'{"a":[[[[[[1]]]]]]}', "deeper than 6"),
            (b'{"a":[%b,[[[[[]]]]]]}' % b",".join([b"1"] * 100), "deeper than 6"),
            (b"{%b}" % many, "21 names"),
            (b'{"x":[%b]}' % b",".join([b'{"a":1}'] * 20), "21 names"),
            (b'{"a":1.%b}' % (b"2" * 31), "a number of 33 characters"),
            (b'{"a":%b}' % (b"1" * 33), "a number of 33 characters"),
            (b'{"a":[1,2.%b]}' % (b"0" * 31), "a number of 33 characters"),
            (b'{"a":[%b,2.%b]}' % (b",".join([b"1"] * 100), b"0" * 31), "a number of 33 characters"),
            (b'{"a":1,"a":1}', "'a' comes twice"),
            (b'{"a":1,"b":{"c":1,"c":2}}', "'c' comes twice"),
            (b'{"a":[{"c":1,"c":2}]}', "'c' comes twice"),
            (b'{"a":1,"\\u0061":1}', "'a' comes twice"),
            (b'{"a":1,"a" :1}', "'a' comes twice"),
            (b'{"a":1,"a"\r\n:1}', "'a' comes twice"),
            (rb'{"a\\":1,"a\\":2}', "comes twice"),
            (rb'{"a":"\":","b":1,"b":2}', "'b' comes twice"),
            (b'{"%b":1,"%b":2}' % (b"x" * 5000, b"x" * 5000), "comes twice"),
        ):
            error = self.assertRaises(BadRequest, check, body)
            self.assertIn(words, str(error))
            self.assertLess(len(str(error)), 200)

    @given(
        st.recursive(
            st.none() | st.booleans() | st.integers(0, 99) | st.text('ab\\":{}[] é', max_size=6),
            lambda inner: (
                st.lists(inner, max_size=3) | st.dictionaries(st.text('ab\\":{ ', max_size=2), inner, max_size=3)
            ),
            max_leaves=12,
        ),
        st.sampled_from([(",", ":"), (", ", ": "), (" , ", " : ")]),
        st.booleans(),
    )
    def test_names_are_counted_as_a_reader_of_text_counts_them(self, inner: Any, marks: Any, escaped: bool) -> None:
        """However it is spelled, a document without doubles is taken, and one with a double is not."""
        bounds = Bounds()
        text = json.dumps({"x": inner}, separators=marks, ensure_ascii=escaped)
        check_document(text.encode(), orjson.loads(text), bounds)
        double = f'{text[:-1]}{marks[0]}"\\u0078"{marks[1]}1}}'
        self.assertRaises(BadRequest, check_document, double.encode(), orjson.loads(double), bounds)


class MemberTests(SynchronousTestCase):
    """Members that make engines work."""

    def test_good(self) -> None:
        """Up to the bound, of another kind that the engine will judge, or empty."""
        for document in (
            {"n": 4, "best_of": 4, "stop": ["a", "b", "c"], "regex": "x" * 12},
            {"n": "many", "stop": "abcdefg", "guided_regex": None},
            {"chat_template_kwargs": {}, "chat_template": None},
            {"structured_outputs": {"regex": "é" * 6}, "sampling_params": {"n": 1}},
            {"response_format": "json"},
        ):
            check_members(document, BOUNDS)
        check_members({"chat_template_kwargs": {"a": 1}, "chat_template": "x"}, Bounds(template_kwargs=True))

    def test_arguments_of_a_template(self) -> None:
        """Those that are named are taken as plain values; nothing else is, and the template itself never."""
        named = Bounds(template_names=("thinking", "effort"))
        for value in (True, False, None, 0, 1.5, "high", "x" * 64):
            check_members({"chat_template_kwargs": {"thinking": value, "effort": "low"}}, named)
        for arguments, words in (
            ({"thinking": True, "chat_template": "x"}, "has 'chat_template': expected thinking, effort"),
            ({"tokenize": False}, "has 'tokenize'"),
            ({"a" * 99: 1}, "aaa...: expected"),
            ({"effort": {"a": 1}}, "'effort' in 'chat_template_kwargs': expected true"),
            ({"effort": ["a"]}, "a short text"),
            ({"effort": "x" * 65}, "a short text"),
            ({"effort": [], "thinking": True}, "a short text"),
            ("thinking", "no object"),
        ):
            for document in (
                {"chat_template_kwargs": arguments},
                {"sampling_params": {"chat_template_kwargs": arguments}},
            ):
                bad = self.assertRaises(BadRequest, check_members, document, named)
                self.assertEqual(bad.param, "chat_template_kwargs")
                self.assertIn(words, str(bad))
        self.assertRaises(BadRequest, check_members, {"chat_template": "x"}, named)

    def test_bad(self) -> None:
        """Beyond it; wherever the engine looks for it."""
        for document, param in (
            ({"n": 5}, "n"),
            ({"n": 5.0}, "n"),
            ({"best_of": 5}, "best_of"),
            ({"stop": ["a"] * 4}, "stop"),
            ({"regex": "x" * 13}, "regex"),
            ({"ebnf": "x" * 13}, "ebnf"),
            ({"guided_regex": "é" * 7}, "guided_regex"),
            ({"guided_grammar": "x" * 13}, "guided_grammar"),
            ({"structured_outputs": {"grammar": "x" * 13}}, "grammar"),
            ({"sampling_params": {"n": 5}}, "n"),
            ({"response_format": {"structural_tag": "x" * 13}}, "structural_tag"),
            ({"chat_template_kwargs": {"a": 1}}, "chat_template_kwargs"),
            ({"chat_template": "{{ x }}"}, "chat_template"),
        ):
            self.assertEqual(self.assertRaises(BadRequest, check_members, document, BOUNDS).param, param, document)
