"""The request that asks another engine for the rest of a broken stream.

Two ways.  I{Exact}: the prompt's tokens and those that were delivered are the prompt of a completion; nothing is left
to a tokenizer or a template.  I{Text}: the delivered text is put after the prompt, or into a last message of the
assistant that is to be continued (C{continue_final_message}, vLLM and SGLang).  It is exact only where the text
determines the tokens.

Where the client has no text yet, it is asked for anew; whatever was asked for may then come.

The client's request is decoded for this, for the first time since it was admitted; what is made of it is a request of
the gateway's own.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import orjson

from aibrix_twisted.wire.routes import Dialect
from aibrix_twisted.wire.told import Told

#: Members of a chat request that a completion knows, too, and that mean the same there (vLLM's own among them).
_OF_BOTH: Final = frozenset(
    {
        "allowed_token_ids", "cache_salt", "ignore_eos", "include_stop_str_in_output", "length_penalty", "logit_bias",
        "min_p", "model", "priority", "repetition_penalty", "seed", "skip_special_tokens",
        "spaces_between_special_tokens", "stop_token_ids", "stream", "stream_options", "temperature", "top_k", "top_p",
        "user",
    }
)  # fmt: skip

#: Members that make a stream more than text that follows from the text before, and the reason that is given for each.
_REFUSED: Final = {
    "audio": "audio",
    "bad_words": "words that must not come",
    "best_of": "several choices",
    "ebnf": "structured output",
    "echo": "echo",
    "frequency_penalty": "a penalty for what was said before",
    "functions": "tools",
    "grammar": "structured output",
    "guided_choice": "structured output",
    "guided_grammar": "structured output",
    "guided_json": "structured output",
    "guided_regex": "structured output",
    "json_schema": "structured output",
    "logits_processors": "a processor of its own",
    "logprobs": "logprobs",
    "mirostat": "a sampler that remembers",
    "n": "several choices",
    "n_predict": "a length by another name",
    "n_probs": "logprobs",
    "presence_penalty": "a penalty for what was said before",
    "prompt_embeds": "a prompt of embeddings",
    "prompt_logprobs": "logprobs",
    "regex": "structured output",
    "structured_outputs": "structured output",
    "suffix": "a suffix",
    "top_logprobs": "logprobs",
    "use_beam_search": "several choices",
    "vllm_xargs": "arguments of the engine's own",
}

#: Completions of these engines that do not say how long they may be are of 16 tokens, as OpenAI's are.
_SHORT_BY_DEFAULT: Final = frozenset({"vllm", "sglang", "openai"})
_DEFAULT_TOKENS: Final = 16

#: Engines that take up a last message of the assistant.
_CONTINUES_MESSAGES: Final = frozenset({"vllm", "sglang"})


class CannotContinue(Exception):
    """The stream cannot be continued.  C{str()} is the reason, for people."""


class Continuation(NamedTuple):
    """What to ask.

    @ivar dialect: of the answer that will come.
    @ivar again: text at its beginning that the client has.
    @ivar tokens_before: delivered tokens that are part of its prompt.
    @ivar exact: by tokens.
    @ivar anew: nothing of it was said before.
    """

    path: bytes
    body: bytes
    dialect: Dialect
    again: str
    tokens_before: int
    exact: bool
    anew: bool = False


class Target(NamedTuple):
    """Whom to ask.

    @ivar engine: its kind.
    @ivar model: as it is called there.
    @ivar context: how many tokens the model takes and makes in all; C{None}: not known.
    @ivar asks_usage: it may be asked for usage whatever the client asked.
    """

    engine: str
    model: str
    context: int | None
    asks_usage: bool


def limit_of(document: dict[str, Any], dialect: Dialect, engine: str) -> int | None:
    """How many tokens may come in all; C{None}: as many as the engine likes.

    @param engine: that the client was first given.
    """
    limit = document.get("max_completion_tokens")
    limit = document.get("max_tokens") if limit is None else limit
    if isinstance(limit, int):
        return limit
    return None if dialect is Dialect.CHAT or engine not in _SHORT_BY_DEFAULT else _DEFAULT_TOKENS


def continuation(
    document: dict[str, Any], dialect: Dialect, told: Told, target: Target, *, limit: int | None, mode: str
) -> Continuation:
    """What to ask an engine for, so that the stream goes on.

    @param document: the client's request, decoded.
    @param limit: how many tokens may come in all; C{None}: as many as the engine likes.
    @param mode: C{exact}, C{text}, or C{auto}: exact where the engine can, else text.
    @raise CannotContinue: why not.
    """
    if told.strange:
        raise CannotContinue(f"the stream had {told.strange}")
    if not told.text and not (asks_for_ids(document) and told.tokens):
        return _anew(document, dialect, target, exact=_takes_tokens(target, mode) and bool(told.prompt_ids))
    _check(document)
    if mode != "text":
        whole = limit
        if whole is None and target.context is not None:
            whole = target.context - len(told.prompt_ids)
        why_not = _why_not_exact(document, told, target.engine, whole)
        if not why_not:
            return _exact(document, dialect, told, target, whole or 0)
        if mode == "exact":
            raise CannotContinue(why_not)
    return _by_text(document, dialect, told, target, limit)


def asks_for_ids(document: dict[str, Any]) -> bool:
    """The client wants to know the tokens."""
    return document.get("return_token_ids") is True


def asks_for_usage(document: dict[str, Any]) -> bool:
    """The client wants to know what it took."""
    options = document.get("stream_options")
    return isinstance(options, dict) and options.get("include_usage") is True


def _takes_tokens(target: Target, mode: str) -> bool:
    return mode != "text" and target.engine == "vllm"


def is_deterministic(document: dict[str, Any]) -> bool:
    """The same prompt gets the same answer: the likeliest token is taken each time."""
    return document.get("temperature") == 0 or document.get("top_k") == 1


def _check(document: dict[str, Any]) -> None:
    """
    @raise CannotContinue: no continuation could be shown to be right.
    """
    for name, reason in _REFUSED.items():
        if document.get(name) not in (None, False, 0, [], {}, "") and not (
            name in ("n", "best_of") and document[name] == 1
        ):
            raise CannotContinue(reason)
    if document.get("tools") and document.get("tool_choice") != "none":
        raise CannotContinue("tools")
    wanted = document.get("response_format")
    if isinstance(wanted, dict) and wanted.get("type") != "text":
        raise CannotContinue("structured output")
    if document.get("seed") is not None and not is_deterministic(document):
        raise CannotContinue("a seed whose draws would differ")


def _why_not_exact(document: dict[str, Any], told: Told, engine: str, limit: int | None) -> str:
    if engine != "vllm":
        return "the engine takes no tokens"
    if not told.has_ids:
        return "the stream's tokens are not known"
    if document.get("stop"):
        return "stop strings, before which an engine holds text back"
    if limit is None:
        return "it is not known how long it may become"
    return ""


def _anew(document: dict[str, Any], dialect: Dialect, target: Target, *, exact: bool) -> Continuation:
    asked = _asked(document, target, usage=target.asks_usage)
    _ask_for_ids(asked, target)
    path = b"/v1/completions" if dialect is Dialect.COMPLETIONS else b"/v1/chat/completions"
    return Continuation(path, orjson.dumps(asked), dialect, "", 0, exact, anew=True)


def _exact(document: dict[str, Any], dialect: Dialect, told: Told, target: Target, limit: int) -> Continuation:
    ids, again = told.resume_at(deterministic=is_deterministic(document), ids_passed=asks_for_ids(document))
    asked = _asked(document, target, usage=True)
    if dialect is Dialect.CHAT:
        asked = {name: value for name, value in asked.items() if name in _OF_BOTH}
    asked.pop("truncate_prompt_tokens", None)
    asked["prompt"] = told.prompt_ids + ids
    asked["max_tokens"] = limit - len(ids)
    asked["return_token_ids"] = True
    _lower_least(asked, document, len(ids))
    body = orjson.dumps(asked)
    return Continuation(b"/v1/completions", body, Dialect.COMPLETIONS, again, len(ids), exact=True)


def _by_text(document: dict[str, Any], dialect: Dialect, told: Told, target: Target, limit: int | None) -> Continuation:
    if document.get("truncate_prompt_tokens") is not None:
        raise CannotContinue("a prompt that is to be truncated")
    asked = _asked(document, target, usage=target.asks_usage)
    text, again, tokens = told.text, "", told.tokens
    if dialect is Dialect.COMPLETIONS:
        path = b"/v1/completions"
        tokens -= told.tokens_within(0)
        asked["prompt"] = _prompt_and(document.get("prompt"), text)
        if limit is None and target.engine in _SHORT_BY_DEFAULT:
            raise CannotContinue("it is not known how long it may become")
    else:
        path = b"/v1/chat/completions"
        kept = text.rstrip()  # space at the end of a message does not outlive every template
        again = text[len(kept) :]
        tokens -= told.tokens_within(len(again))
        if kept:
            _continue_message(asked, kept, target.engine)
    _ask_for_ids(asked, target)
    if limit is not None:
        asked["max_completion_tokens" if "max_completion_tokens" in asked else "max_tokens"] = limit - tokens
    _lower_least(asked, document, tokens)
    return Continuation(path, orjson.dumps(asked), dialect, again, tokens, exact=False)


def _asked(document: dict[str, Any], target: Target, *, usage: bool) -> dict[str, Any]:
    """What the client asked, of this engine."""
    asked = {**document, "model": target.model, "stream": True}
    if usage:
        options = document.get("stream_options")
        asked["stream_options"] = {**(options if isinstance(options, dict) else {}), "include_usage": True}
    return asked


def _ask_for_ids(asked: dict[str, Any], target: Target) -> None:
    """They tell how many there are, should it break, too: an event may bring more than one token."""
    if target.engine == "vllm":
        asked["return_token_ids"] = True


def _prompt_and(prompt: Any, text: str) -> str:
    if isinstance(prompt, list) and len(prompt) == 1:
        prompt = prompt[0]
    if not isinstance(prompt, str):
        raise CannotContinue("a prompt that is not one text")
    return prompt + text


def _continue_message(asked: dict[str, Any], text: str, engine: str) -> None:
    """Let the last message be what the assistant has said so far."""
    if engine not in _CONTINUES_MESSAGES:
        raise CannotContinue("the engine continues no message")
    messages = asked.get("messages")
    if not isinstance(messages, list) or not messages or not isinstance(messages[-1], dict):
        raise CannotContinue("messages that are none")
    last = messages[-1]
    if last.get("role") == "assistant":
        begun = last.get("content")
        if not asked.get("continue_final_message") or not isinstance(begun, str):
            raise CannotContinue("a last message of the assistant's")
        asked["messages"] = [*messages[:-1], {**last, "content": begun + text}]
        return
    if asked.get("add_generation_prompt") is False:
        raise CannotContinue("a template without the assistant's turn")
    asked["messages"] = [*messages, {"role": "assistant", "content": text}]
    asked["continue_final_message"] = True
    asked["add_generation_prompt"] = False


def _lower_least(asked: dict[str, Any], document: dict[str, Any], tokens: int) -> None:
    least = document.get("min_tokens")
    if isinstance(least, int):
        asked["min_tokens"] = max(least - tokens, 0)
