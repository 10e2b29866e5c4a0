"""What another engine is asked for, and what is not asked."""

from __future__ import annotations

from typing import Any

import orjson
from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.wire.continuation import (
    _REFUSED,
    CannotContinue,
    Continuation,
    Target,
    continuation,
    is_deterministic,
    limit_of,
)
from aibrix_twisted.wire.routes import Dialect
from aibrix_twisted.wire.told import Told

VLLM = Target("vllm", "m2", 4096, asks_usage=True)
LLAMA = Target("llamacpp", "m2", None, asks_usage=True)
OPENAI = Target("openai", "m2", None, asks_usage=False)
MESSAGES = [{"role": "user", "content": "hi"}]


def told_of(*pieces: tuple[str, list[int] | None], prompt: tuple[int, ...] = (1, 2, 3)) -> Told:
    """What the client has."""
    told = Told()
    told.prompt_ids = list(prompt)
    told.role = True
    for text, ids in pieces:
        told.add(text, ids)
    return told


def plan(
    asked: dict[str, Any],
    told: Told,
    target: Target = VLLM,
    *,
    dialect: Dialect = Dialect.CHAT,
    mode: str = "auto",
    began: str = "vllm",
) -> tuple[Continuation, dict[str, Any]]:
    """What is asked of whom, and its body."""
    limit = limit_of(asked, dialect, began)
    made = continuation(asked, dialect, told, target, limit=limit, mode=mode)
    return made, orjson.loads(made.body)


CHAT = {"model": "m", "messages": MESSAGES, "stream": True, "max_tokens": 10, "temperature": 0}
COMPLETION = {"model": "m", "prompt": "once", "stream": True, "max_tokens": 10, "temperature": 0}


class ExactTests(SynchronousTestCase):
    """By tokens."""

    def test_chat(self) -> None:
        """A completion of the prompt's tokens and those that came; less is to come; nothing that it does not know."""
        asked = {**CHAT, "min_tokens": 5, "top_p": 0.5, "unknown": 1, "chat_template_kwargs": {"x": 1}}
        made, body = plan(asked, told_of(("a", [7]), ("b", [8])))
        self.assertEqual(made[:1] + made[2:], (b"/v1/completions", Dialect.COMPLETIONS, "", 2, True, False))
        self.assertEqual(
            body,
            {"model": "m2", "prompt": [1, 2, 3, 7, 8], "max_tokens": 8, "min_tokens": 3, "stream": True, "top_p": 0.5,
             "temperature": 0, "stream_options": {"include_usage": True}, "return_token_ids": True},
        )  # fmt: skip

    def test_completions(self) -> None:
        """All that was asked for is asked again."""
        made, body = plan({**COMPLETION, "unknown": 1}, told_of(("a", [7])), dialect=Dialect.COMPLETIONS)
        self.assertTrue(made.exact)
        self.assertEqual((body["prompt"], body["max_tokens"], body["unknown"]), ([1, 2, 3, 7], 9, 1))

    def test_how_long(self) -> None:
        """By what was said, else by the default of a completion, else by what the model takes."""
        told = told_of(("a", [7]))
        for asked, dialect, expected in (
            ({**CHAT, "max_completion_tokens": 6}, Dialect.CHAT, 5),
            ({**CHAT, "max_tokens": None}, Dialect.CHAT, 4096 - 4),
            ({**COMPLETION, "max_tokens": None}, Dialect.COMPLETIONS, 15),
        ):
            self.assertEqual(plan(asked, told, dialect=dialect)[1]["max_tokens"], expected, asked)

    def test_part_of_a_character(self) -> None:
        """It is asked for again, and what the client has of it is known."""
        made, body = plan(CHAT, told_of(("a", [7]), ("bc", [8, 9]), ("", [10])))
        self.assertEqual((body["prompt"][3:], body["max_tokens"], made.again), ([7], 9, "bc"))

    def test_a_client_that_has_the_tokens(self) -> None:
        """None comes twice."""
        made, body = plan({**CHAT, "return_token_ids": True}, told_of(("a", [7]), ("bc", [8, 9]), ("", [10])))
        self.assertEqual((body["prompt"][3:], made.again), ([7, 8, 9, 10], ""))

    def test_continuous_usage(self) -> None:
        """A client that wants it goes on having it."""
        asked = {**CHAT, "stream_options": {"include_usage": True, "continuous_usage_stats": True}}
        self.assertEqual(plan(asked, told_of(("a", [7])))[1]["stream_options"], asked["stream_options"])

    def test_where_it_cannot_be(self) -> None:
        """Said, where nothing else will do; else it goes on by text."""
        unknown = VLLM._replace(context=None)
        for asked, told, target, why in (
            (CHAT, told_of(("a", [7])), LLAMA, "the engine takes no tokens"),
            (CHAT, told_of(("a", None)), VLLM, "the stream's tokens are not known"),
            (CHAT, told_of(("a", [7]), prompt=()), VLLM, "the stream's tokens are not known"),
            ({**CHAT, "stop": ["x"]}, told_of(("a", [7])), VLLM, "stop strings, before which"),
            ({**CHAT, "max_tokens": None}, told_of(("a", [7])), unknown, "it is not known how long"),
        ):
            with self.assertRaisesRegex(CannotContinue, why):
                plan(asked, told, target, mode="exact")
            if target.engine == "vllm":
                self.assertFalse(plan(asked, told, target)[0].exact)


class TextTests(SynchronousTestCase):
    """By what was said."""

    def test_chat(self) -> None:
        """A last message of the assistant's that is to be continued."""
        made, body = plan({**CHAT, "stream_options": None}, told_of(("a b", None)), mode="text")
        self.assertEqual(made[:1] + made[2:], (b"/v1/chat/completions", Dialect.CHAT, "", 1, False, False))
        self.assertEqual(body["messages"], [*MESSAGES, {"role": "assistant", "content": "a b"}])
        self.assertEqual((body["continue_final_message"], body["add_generation_prompt"]), (True, False))
        self.assertEqual((body["max_tokens"], body["stream_options"]), (9, {"include_usage": True}))

    def test_space_at_its_end(self) -> None:
        """A template may not let it live: it is left out, and has to come again."""
        made, body = plan(CHAT, told_of(("a", None), (" ", None), ("\n", None)), mode="text")
        self.assertEqual((made.again, made.tokens_before, body["max_tokens"]), (" \n", 1, 9))
        self.assertEqual(body["messages"][-1]["content"], "a")
        made, body = plan(CHAT, told_of((" ", None)), mode="text")
        self.assertEqual((made.again, body["messages"], body["max_tokens"]), (" ", MESSAGES, 10))

    def test_a_message_begun_by_the_client(self) -> None:
        """It is continued further; one that was whole is not taken for one that was begun."""
        asked = {**CHAT, "messages": [*MESSAGES, {"role": "assistant", "content": "It"}]}
        for more, expected in (
            ({"continue_final_message": True, "add_generation_prompt": False}, "It is"),
            ({}, None),
        ):
            if expected is None:
                self.assertRaises(CannotContinue, plan, {**asked, **more}, told_of((" is", None)), mode="text")
            else:
                body = plan({**asked, **more}, told_of((" is", None)), mode="text")[1]
                self.assertEqual(body["messages"][-1]["content"], expected)

    def test_completions(self) -> None:
        """The prompt, and the text; with any engine."""
        for target in (VLLM, LLAMA, OPENAI):
            for prompt in ("once", ["once"]):
                asked = {**COMPLETION, "prompt": prompt}
                made, body = plan(asked, told_of((" upon", None)), target, dialect=Dialect.COMPLETIONS, mode="text")
                self.assertEqual((body["prompt"], body["max_tokens"], made.exact), ("once upon", 9, False))
                self.assertEqual("stream_options" in body, target is not OPENAI)

    def test_how_long(self) -> None:
        """By what holds where the stream began."""
        told, asked = told_of((" upon", None)), {**COMPLETION, "max_tokens": None}
        body = plan(asked, told, LLAMA, dialect=Dialect.COMPLETIONS, mode="text", began="vllm")[1]
        self.assertEqual(body["max_tokens"], 15)
        body = plan(asked, told, LLAMA, dialect=Dialect.COMPLETIONS, mode="text", began="llamacpp")[1]
        self.assertIsNone(body["max_tokens"])
        with self.assertRaisesRegex(CannotContinue, "how long"):
            plan(asked, told, VLLM, dialect=Dialect.COMPLETIONS, mode="text", began="llamacpp")

    def test_where_it_cannot_be(self) -> None:
        """Said."""
        said = told_of((" upon", None))
        for asked, dialect, target, why in (
            ({**COMPLETION, "prompt": [5, 6]}, Dialect.COMPLETIONS, VLLM, "a prompt that is not one text"),
            ({**COMPLETION, "prompt": ["a", "b"]}, Dialect.COMPLETIONS, VLLM, "a prompt that is not one text"),
            (CHAT, Dialect.CHAT, LLAMA, "the engine continues no message"),
            (CHAT, Dialect.CHAT, OPENAI, "the engine continues no message"),
            ({**CHAT, "messages": "x"}, Dialect.CHAT, VLLM, "messages that are none"),
            ({**CHAT, "add_generation_prompt": False}, Dialect.CHAT, VLLM, "without the assistant's turn"),
            ({**CHAT, "truncate_prompt_tokens": 5}, Dialect.CHAT, VLLM, "to be truncated"),
        ):
            with self.assertRaisesRegex(CannotContinue, why):
                plan(asked, said, target, dialect=dialect, mode="text")


class AnewTests(SynchronousTestCase):
    """Where nothing was said yet."""

    def test_the_very_request(self) -> None:
        """Whatever it asks for."""
        asked = {**CHAT, "tools": [{"type": "function"}], "seed": 1, "temperature": 1, "logprobs": True}
        for told in (told_of(), told_of(("", [])), told_of(("", [7]))):
            made, body = plan(asked, told)
            self.assertEqual(
                (made.anew, made.exact, made.tokens_before, made.path), (True, True, 0, b"/v1/chat/completions")
            )
            self.assertEqual(
                body, {**asked, "model": "m2", "stream_options": {"include_usage": True}, "return_token_ids": True}
            )

    def test_by_text(self) -> None:
        """Of an engine of which nothing is known, nothing is asked that the client did not ask; of one that can say
        which tokens it makes, that: should it break, too, they are counted by them."""
        ids = {"return_token_ids": True}
        for target, mode, more in ((OPENAI, "auto", {}), (VLLM._replace(asks_usage=False), "text", ids)):
            made, body = plan(COMPLETION, told_of(), target, dialect=Dialect.COMPLETIONS, mode=mode)
            self.assertEqual((made.anew, made.exact, body), (True, False, {**COMPLETION, "model": "m2", **more}))

    def test_tokens_that_the_client_has(self) -> None:
        """They are gone on from."""
        self.assertFalse(plan({**CHAT, "return_token_ids": True}, told_of(("", [7])))[0].anew)


class RefusedTests(SynchronousTestCase):
    """Where nothing could be shown to be right."""

    def test_each_member(self) -> None:
        """With its reason, whichever way; not where it says that nothing is wanted."""
        for name, why in _REFUSED.items():
            for dialect, asked in ((Dialect.CHAT, CHAT), (Dialect.COMPLETIONS, COMPLETION)):
                for mode in ("auto", "exact", "text"):
                    for value in (3, "x", ["x"], {"x": 1}):
                        with self.assertRaisesRegex(CannotContinue, why):
                            plan({**asked, name: value}, told_of(("a", [7])), dialect=dialect, mode=mode)
                for nothing in (None, False, 0, [], {}, ""):
                    plan({**asked, name: nothing}, told_of(("a", [7])), dialect=dialect)

    def test_others(self) -> None:
        """Tools, structured output, a seed that draws."""
        tools = [{"type": "function"}]
        for more, why in (
            ({"tools": tools}, "tools"),
            ({"tools": tools, "tool_choice": "auto"}, "tools"),
            ({"response_format": {"type": "json_object"}}, "structured output"),
            ({"seed": 1, "temperature": 1}, "a seed"),
            ({"seed": 1, "temperature": None}, "a seed"),
        ):
            with self.assertRaisesRegex(CannotContinue, why):
                plan({**CHAT, **more}, told_of(("a", [7])))
        for more in (
            {"tools": tools, "tool_choice": "none"}, {"tools": []}, {"response_format": {"type": "text"}}, {"seed": 1},
            {"seed": 1, "temperature": 1, "top_k": 1}, {"n": 1}, {"best_of": 1},
        ):  # fmt: skip
            plan({**CHAT, **more}, told_of(("a", [7])))

    def test_a_strange_stream(self) -> None:
        """Whatever was asked."""
        told = told_of()
        told.strange = "a tail"
        with self.assertRaisesRegex(CannotContinue, "the stream had a tail"):
            plan(CHAT, told)

    def test_deterministic(self) -> None:
        """Where the likeliest is taken."""
        for asked, expected in (
            ({"temperature": 0}, True),
            ({"top_k": 1}, True),
            ({}, False),
            ({"temperature": 1}, False),
        ):
            self.assertEqual(is_deterministic(asked), expected)
