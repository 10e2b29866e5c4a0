"""The events of a continuation, spelled as those of the stream that it continues.

The client is to see one stream: the id, the time, the model, and the fingerprint are those it began with; there is one
role, and usage for the whole.  These events are decoded and written anew, for they are no engine's answer to what the
client asked; a stream that is not broken never comes here.
"""

from __future__ import annotations

from typing import Any, Final

import orjson

from aibrix_twisted.wire.continuation import CannotContinue, Continuation, asks_for_ids, asks_for_usage
from aibrix_twisted.wire.routes import Dialect
from aibrix_twisted.wire.sse import encode_event, read_event
from aibrix_twisted.wire.told import Told, said_by
from aibrix_twisted.wire.usage import Usage, usage_of

#: What all events of a stream have in common.
_STAMPS: Final[tuple[str, ...]] = ("id", "object", "created", "model", "system_fingerprint", "service_tier")


class Diverged(Exception):
    """The continuation does not go on from what was delivered.  C{str()} says how."""


class Respeller:
    """Turns events of one continuation into the client's.

    @ivar usage: of the whole stream; C{None} while nothing was said of it.
    @ivar done: the engine ended it with C{[DONE]}.
    @ivar failed: the event with which it said that it failed; empty where it did not.
    """

    __slots__ = (
        "_again",
        "_continuation",
        "_continuous",
        "_dialect",
        "_told",
        "_wants_ids",
        "_wants_usage",
        "done",
        "failed",
        "usage",
    )

    def __init__(self, told: Told, continuation: Continuation, dialect: Dialect, document: dict[str, Any]) -> None:
        """
        @param told: what the client has; added to.
        @param dialect: the client's.
        @param document: what the client asked, decoded.
        """
        self._told = told
        self._continuation = continuation
        self._dialect = dialect
        self._again = continuation.again
        self._wants_usage = asks_for_usage(document)
        self._continuous = self._wants_usage and document["stream_options"].get("continuous_usage_stats") is True
        self._wants_ids = asks_for_ids(document)
        if continuation.exact:
            told.back_to(continuation.tokens_before)
        self.usage: Usage | None = None
        self.done = False
        self.failed = b""

    def respell(self, raw: bytes) -> bytes:
        """One event.

        @return: what the client gets of it; empty: nothing.
        @raise Diverged: it is not of a stream that continues this one.
        """
        event = read_event(raw)
        if event is None:
            return b""
        if event.data.strip() == b"[DONE]":
            self.done = True
            return b""  # said at the end, by whoever knows that it is one
        try:
            document = orjson.loads(event.data)
        except orjson.JSONDecodeError:
            raise Diverged("an event that is not JSON") from None
        if not isinstance(document, dict):
            raise Diverged("an event that is no object")
        if event.name == b"error" or document.get("error") is not None:
            self.failed = raw
            return b""
        self._count(document)
        choices = document.get("choices")
        if isinstance(choices, list) and choices:
            choice = self._choice(choices[0])
            return b"" if choice is None else self._spelled(document, [choice])
        if not self._wants_usage or self._told.usage_passed or self.usage is None:
            return b""
        self._told.usage_passed = True
        return self._spelled(document, [])

    def ending(self) -> bytes:
        """The last of the stream."""
        return encode_event(b"[DONE]")

    def _count(self, document: dict[str, Any]) -> None:
        said = usage_of(document)
        if said is None:
            return
        before, given, cached = self._continuation.tokens_before, said.input, said.cached
        if self._told.prompt_ids:
            given = len(self._told.prompt_ids)
        elif given is not None:
            given -= min(before, given)
        if cached is not None and given is not None:
            cached = min(cached, given)  # some of it may be what was delivered
        self.usage = Usage(given, None if said.output is None else said.output + before, cached)

    def _choice(self, choice: Any) -> dict[str, Any] | None:
        """The client's choice; C{None} where this one brings it nothing."""
        if not isinstance(choice, dict) or choice.get("index", 0) != 0:
            raise Diverged("another choice")
        told, plan = self._told, self._continuation
        if told.finish is not None:
            raise Diverged("more after its end")
        text = said_by(choice, plan.dialect)
        if text is None:
            if not plan.anew:
                raise Diverged("something else than text")
            told.strange = "something else than text"
        had = self._had(text or "")
        finish = choice.get("finish_reason")
        if self._again and finish is not None:
            raise Diverged("it ended before it had said again what was delivered")
        ids = choice.get("token_ids")
        fresh = text or ""
        told.add(
            fresh if plan.exact else fresh[had:],
            ids if isinstance(ids, list) else [],
            had=had * plan.exact,
            sure=plan.exact,
        )
        if self.usage is not None and self.usage.output is not None:
            told.count(self.usage.output)
        if finish is not None:
            told.finish = str(finish)
        if text is not None and len(text) == had and finish is None:
            return None
        if plan.anew:
            return self._as_it_is(choice)
        spelled = {**told.choice, **{name: choice[name] for name in _OF_CHOICES if name in choice}}
        spelled["index"] = 0
        spelled["finish_reason"] = finish
        return self._with_text(self._without_ids(spelled), (text or "")[had:])

    def _without_ids(self, spelled: dict[str, Any]) -> dict[str, Any]:
        for name in ("token_ids", "prompt_token_ids"):
            if name in spelled and not (self._wants_ids and name == "token_ids"):
                spelled[name] = None
        return spelled

    def _as_it_is(self, choice: dict[str, Any]) -> dict[str, Any]:
        """Of an answer to the very request; the role was said, perhaps."""
        spelled = self._without_ids(dict(choice))
        delta = spelled.get("delta")
        if isinstance(delta, dict):
            if self._told.role:
                spelled["delta"] = {name: value for name, value in delta.items() if name != "role"}
            self._told.role = self._told.role or "role" in delta
        return spelled

    def _with_text(self, spelled: dict[str, Any], text: str) -> dict[str, Any]:
        if self._dialect is Dialect.COMPLETIONS:
            spelled["text"] = text
        else:
            spelled["delta"] = {"content": text} if text else {}
        return spelled

    def _had(self, text: str) -> int:
        """How much of a text, from its beginning, the client has."""
        again = self._again
        if not text.startswith(again) and not again.startswith(text):
            raise Diverged("it does not say again what was delivered")
        self._again = again[len(text) :]
        return min(len(text), len(again))

    def _spelled(self, document: dict[str, Any], choices: list[dict[str, Any]]) -> bytes:
        told = self._told
        told.template = template = told.template or document
        spelled: dict[str, Any] = {name: template[name] for name in _STAMPS if name in template}
        spelled["choices"] = choices
        if self.usage is not None and (not choices or self._continuous or self._rides(document, choices)):
            spelled["usage"] = _usage_document(document.get("usage"), self.usage)
        elif "usage" in template:
            spelled["usage"] = None
        return encode_event(orjson.dumps(spelled))

    def _rides(self, document: dict[str, Any], choices: list[dict[str, Any]]) -> bool:
        """Usage rides in the event that finishes, as in llama.cpp's completions; by its own way, asked for or not."""
        rides = bool(choices[0].get("finish_reason")) and isinstance(document.get("usage"), dict)
        if rides and not self._continuation.exact:
            self._told.usage_passed = True
            return True
        return False


#: What a choice says beside its text.
_OF_CHOICES: Final = ("finish_reason", "stop_reason", "matched_stop", "logprobs", "token_ids")


def _usage_document(said: Any, usage: Usage) -> dict[str, Any]:
    document = dict(said) if isinstance(said, dict) else {}
    document["prompt_tokens"], document["completion_tokens"] = usage.input, usage.output
    document["total_tokens"] = (usage.input or 0) + (usage.output or 0)
    details = document.get("prompt_tokens_details")
    if isinstance(details, dict) and "cached_tokens" in details:
        document["prompt_tokens_details"] = {**details, "cached_tokens": usage.cached}
    return document


def closing(told: Told, dialect: Dialect, document: dict[str, Any], finish: str | None) -> bytes:
    """The end of a stream that lacks nothing but its end.

    @param finish: the C{finish_reason} that is missing, too; C{None}: the client has it.
    @return: empty where the client has all of it.
    @raise CannotContinue: usage was asked for, and is not known.
    """
    if told.done:
        return b""
    stamps = {name: told.template[name] for name in _STAMPS if name in told.template}
    out = b""
    if finish is not None:
        choice = {**told.choice, "index": 0, "finish_reason": finish}
        for name in ("token_ids", "prompt_token_ids"):
            if name in choice:
                choice[name] = None
        choice["text" if dialect is Dialect.COMPLETIONS else "delta"] = "" if dialect is Dialect.COMPLETIONS else {}
        out += encode_event(orjson.dumps({**stamps, "choices": [choice]}))
    if asks_for_usage(document) and not told.usage_passed:
        if told.usage is None:
            raise CannotContinue("the stream had ended but for its usage, which is not known")
        out += encode_event(orjson.dumps({**stamps, "choices": [], "usage": _usage_document(None, told.usage)}))
    return out + encode_event(b"[DONE]")
