"""The text of prompts: what begins alike for an engine begins alike here."""

from __future__ import annotations

import base64
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.wire.prompt_text import prompt_text
from aibrix_twisted.wire.routes import Dialect


def text_of(dialect: Dialect, **body: Any) -> bytes:
    """Of this body."""
    return prompt_text(dialect, body).text


def chat(*messages: tuple[str, Any], **more: Any) -> bytes:
    """Of a chat."""
    said = [{"role": role, "content": content} for role, content in messages]
    return text_of(Dialect.CHAT, model="m", messages=said, **more)


class ChatTests(SynchronousTestCase):
    """Messages."""

    def test_who_goes_on_begins_alike(self) -> None:
        """With an answer, and with the next question."""
        first = chat(("system", "You help."), ("user", "Hello"))
        later = chat(("system", "You help."), ("user", "Hello"), ("assistant", "Hi"), ("user", "More"))
        self.assertTrue(later.startswith(first))

    def test_roles_and_tools_count(self) -> None:
        """The same words of another, or with other tools, are another prompt (AIBrix takes them for the same)."""
        self.assertNotEqual(chat(("user", "Hello")), chat(("system", "Hello")))
        plain, with_tools = chat(("user", "Hello")), chat(("user", "Hello"), tools=[{"type": "function"}])
        self.assertFalse(with_tools.startswith(plain[:20]))

    def test_what_is_no_prompt_does_not(self) -> None:
        """Temperature, stream, the model's name: the cache does not know them."""
        self.assertEqual(chat(("user", "x")), chat(("user", "x"), temperature=0.5, stream=True, user="u", tools=None))

    @given(
        st.lists(st.tuples(st.sampled_from(["user", "assistant"]), st.text()), min_size=1, max_size=5),
        st.integers(0, 4),
    )
    @settings(deadline=None)
    def test_any_beginning(self, messages: list[tuple[str, str]], count: int) -> None:
        """Of any conversation."""
        self.assertTrue(chat(*messages).startswith(chat(*messages[:count]) if messages[:count] else b""))

    def test_images(self) -> None:
        """An image is its digest: the same one is the same, another one is not, and neither is long."""

        def asked(data: bytes) -> bytes:
            url = "data:image/png;base64," + base64.b64encode(data).decode()
            return chat(("user", [{"type": "image_url", "image_url": {"url": url}}, {"type": "text", "text": "What?"}]))

        one, other = asked(b"a" * 50_000), asked(b"b" * 50_000)
        self.assertEqual(one, asked(b"a" * 50_000))
        self.assertNotEqual(one, other)
        self.assertLess(len(one), 300)


class DialectTests(SynchronousTestCase):
    """Each path has its own members."""

    def test_each(self) -> None:
        """Texts as they are, lists as JSON; what there is nothing to know of is empty."""
        for dialect, body, text in (
            (Dialect.COMPLETIONS, {"prompt": "Once"}, b"Once"),
            (Dialect.COMPLETIONS, {"prompt": [1, 2, 3]}, b"[1,2,3"),
            (Dialect.COMPLETIONS, {"prompt": ["a", "b"]}, b'["a","b"'),
            (Dialect.COMPLETIONS, {}, b""),
            (Dialect.RESPONSES, {"instructions": "Be brief.", "input": "Hello"}, b"Be brief.Hello"),
            (Dialect.MESSAGES, {"system": "Be.", "messages": [1]}, b"Be.[1"),
            (Dialect.EMBEDDINGS, {"input": "text"}, b"text"),
            (Dialect.RERANK, {"query": "q", "documents": ["d"]}, b"q"),
            (Dialect.GENERATE, {"prompt": "Once"}, b"Once"),
            (Dialect.OTHER, {"prompt": "Once"}, b""),
            (Dialect.AUDIO, {"input": "Once"}, b""),
        ):
            of: Any = body
            self.assertEqual(text_of(dialect, **of), text, (dialect, body))

    def test_salt(self) -> None:
        """What vLLM keeps prompts apart by."""
        salted = {"prompt": "x", "cache_salt": "tenant-1"}
        self.assertEqual(prompt_text(Dialect.COMPLETIONS, salted).scope, b"tenant-1")
        self.assertEqual(prompt_text(Dialect.COMPLETIONS, {"prompt": "x", "cache_salt": 5}).scope, b"")

    def test_what_has_none(self) -> None:
        """A form, or what is no prompt to any engine."""
        for dialect in Dialect:
            self.assertEqual(text_of(dialect), b"")
        self.assertEqual(text_of(Dialect.AUDIO, input="x"), b"")
