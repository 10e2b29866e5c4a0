"""Token usage, out of whatever an engine's answer says of it."""

from __future__ import annotations

from typing import Any, Final

#: Where usage is when it is not at the top.
_ELSEWHERE: Final = (("response", "usage"), ("message", "usage"), ("meta", "tokens"), ("meta", "billed_units"))


#: What a plain answer says: C{prompt_tokens}, C{completion_tokens} and C{total_tokens}, and no more.
_PLAIN: Final = 3


class Usage:
    """Tokens; C{None} for what was not said.

    @ivar cached: those of C{input} that the engine had computed before.
    """

    __slots__ = ("cached", "input", "output")

    def __init__(self, input: int | None, output: int | None, cached: int | None = None) -> None:
        self.input = input
        self.output = output
        self.cached = cached

    def __eq__(self, other: object) -> bool:
        """By what is said."""
        return isinstance(other, Usage) and self.told == other.told

    __hash__ = None  # type: ignore[assignment]

    @property
    def told(self) -> tuple[int | None, int | None, int | None]:
        """Input, output, cached."""
        return self.input, self.output, self.cached

    def __repr__(self) -> str:
        """For people."""
        return f"Usage{self.told}"


def usage_of(document: Any) -> Usage | None:
    """The usage that a whole answer, or one event of a stream, speaks of.  Never raises.

    Spellings: OpenAI's chat, completions and embeddings (C{prompt_tokens}, C{completion_tokens}); its responses and
    Anthropic's messages (C{input_tokens}, C{output_tokens}), which also come inside of C{response} or C{message};
    rerankers that know a total only; and Jina's and Cohere's C{meta}.
    """
    if not isinstance(document, dict):
        return None
    said = document.get("usage")
    if isinstance(said, dict):
        return _read(said)
    for outer, inner in _ELSEWHERE:
        holder = document.get(outer)
        if isinstance(holder, dict) and isinstance(said := holder.get(inner), dict):
            return _read(said)
    return None


def merged(earlier: Usage | None, later: Usage | None) -> Usage | None:
    """What two events of one stream say together: the later word counts, the earlier where there is none."""
    if earlier is None or later is None:
        return later or earlier
    return Usage(
        earlier.input if later.input is None else later.input,
        earlier.output if later.output is None else later.output,
        earlier.cached if later.cached is None else later.cached,
    )


def _read(said: dict[str, Any]) -> Usage | None:
    if len(said) == _PLAIN and "total_tokens" in said:  # the usual case
        plain, made = said.get("prompt_tokens"), said.get("completion_tokens")
        if type(plain) is int and type(made) is int and plain >= 0 and made >= 0:
            return Usage(plain, made)
    given = _count(said, "prompt_tokens", "input_tokens")
    made = _count(said, "completion_tokens", "output_tokens")
    if given is None and made is None:
        given = _count(said, "total_tokens", "search_units")
        if given is None:
            return None
    cached = _count(said, "cache_read_input_tokens")
    for name in ("prompt_tokens_details", "input_tokens_details"):
        details = said.get(name)
        if isinstance(details, dict):
            cached = _count(details, "cached_tokens")
    return Usage(given, made, cached)


def _count(said: dict[str, Any], name: str, other: str = "") -> int | None:
    value = said.get(name)
    if type(value) is int and value >= 0:  # not true, nor false, which are numbers too
        return value
    return _count(said, other) if other else None
