"""What a JSON body may be, so that two readers of it read the same, and neither of them is hurt by it.

A name that comes twice means one thing to one reader and another to the next (RFC 8259 §4); a number of thousands of
digits, a document of a hundred thousand names or nested a thousand deep costs its reader more than its writer; and some
members make an engine work without end, or run what a client wrote: how many answers, how many words to stop at, how
long an expression to match, templates.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson


class BadRequest(Exception):
    """The body is not what the path takes.

    @ivar status: 400, or 415 for a kind of content that is not taken.
    @ivar param: the member that is at fault, where one is.
    """

    def __init__(self, message: str, *, param: str | None = None, status: int = 400) -> None:
        super().__init__(message)
        self.param = param
        self.status = status


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """How much of each.

    @ivar depth: levels of objects and arrays.
    @ivar names: of members, in all objects together.
    @ivar number: characters of a number; at least 32, more than one that is spelled shortest has.
    @ivar choices: answers to one prompt (C{n}, C{best_of}).
    @ivar stops: in C{stop}.
    @ivar grammar_bytes: of a regular expression or a grammar.
    @ivar template_kwargs: templates, and arguments for them, are passed on.
    @ivar template_names: of arguments that are passed on in any case, if they are plain values.
    """

    depth: int = 64
    names: int = 10_000
    number: int = 64
    choices: int = 16
    stops: int = 16
    grammar_bytes: int = 4096
    template_kwargs: bool = False
    template_names: tuple[str, ...] = ()


#: A list that is longer is asked for the kinds that are in it, all at once.
_LONG: Final = 64
_NESTING: Final = frozenset({dict, list})

#: Whatever a number is made of, as the same.
_NUMBERS: Final = bytes.maketrans(b"123456789.eE+-", b"0" * 14)

_STRING: Final = re.compile(rb'"(?:[^"\\]++|\\.)*+"', re.DOTALL)
_NUMBER: Final = re.compile(rb"[0-9.eE+\-]{32,}")
_SPACE: Final = b" \t\r\n"

#: A body that is not longer is read once more, to say which of its names comes twice.
_SOON_READ: Final = 1 << 20

#: Where something stands between a name and its colon.
_APART: Final = re.compile(rb'"[ \t\r\n]++:')


def check_document(body: bytes, document: dict[str, Any], bounds: Bounds) -> None:
    """Hold a document against its bounds.

    @param document: the body, decoded.
    @raise BadRequest: it is beyond one, or says a name twice.
    """
    names, floats = _measured(document, bounds)
    if names > bounds.names:
        raise BadRequest(f"the body has {names} names: expected {bounds.names} at most")
    if orjson.dumps(document) == body:
        return  # as a library writes it that is what is in it and no more: no name was dropped, no number shortened
    # Decoded, a name that comes twice is there once: then the text has more of them.
    said = body.count(b'":') - body.count(b'\\":')
    plain = said == names and b'\\\\":' not in body and _APART.search(body) is None
    long = floats and b"0" * (bounds.number + 1) in body.translate(_NUMBERS)
    if long or not plain:
        _check_text(body, names, bounds)


def _measured(document: dict[str, Any], bounds: Bounds) -> tuple[int, bool]:
    """How many names there are, and whether there is a number that is not a small whole one."""
    names, floats = 0, False
    level: list[Any] = [document]
    depth = 0
    while level:
        depth += 1
        if depth > bounds.depth:
            raise BadRequest(f"the body is nested deeper than {bounds.depth} levels")
        inner: list[Any] = []
        for outer in level:
            values: list[Any]
            if isinstance(outer, dict):
                names += len(outer)
                values = list(outer.values())
            else:
                values = outer
            if len(values) > _LONG:
                kinds = set(map(type, values))
                floats = floats or float in kinds
                if kinds.isdisjoint(_NESTING):
                    continue
            for value in values:
                if isinstance(value, (dict, list)):
                    inner.append(value)
                elif isinstance(value, float):
                    floats = True
        level = inner
    return names, floats


def _check_text(body: bytes, names: int, bounds: Bounds) -> None:
    """What only the text tells, more slowly."""
    bare = _STRING.sub(b'"', body)  # each text is one mark
    if bare.translate(None, _SPACE).count(b'":') != names:
        raise _doubled(body)
    long = max(map(len, _NUMBER.findall(bare)), default=0) if b"0" * bounds.number in bare.translate(_NUMBERS) else 0
    if long > bounds.number:
        raise BadRequest(f"a number of {long} characters: expected {bounds.number} at most")


def _doubled(body: bytes) -> BadRequest:
    """Say which name it is, in a body that has one, if that is soon said."""

    def find(pairs: list[tuple[str, Any]]) -> None:
        seen = set()
        for name, _ in pairs:
            if name in seen:
                raise BadRequest(f"{_shown(name)} comes twice: expected it once", param=name[:256])
            seen.add(name)

    if len(body) <= _SOON_READ:
        try:
            json.loads(body, object_pairs_hook=find)
        except BadRequest as bad:
            return bad
    return BadRequest("a name comes twice: expected it once")


def check_members(document: Mapping[str, Any], bounds: Bounds) -> None:
    """Hold what makes engines work against its bounds.

    @raise BadRequest: it is beyond one.
    """
    if _BOUNDED.isdisjoint(document):
        return
    for name in ("n", "best_of"):
        many = document.get(name)
        if isinstance(many, (int, float)) and many > bounds.choices:
            raise BadRequest(f"{name!r} is {many}: expected {bounds.choices} at most", param=name)
    stop = document.get("stop")
    if isinstance(stop, list) and len(stop) > bounds.stops:
        raise BadRequest(f"'stop' has {len(stop)} members: expected {bounds.stops} at most", param="stop")
    for name in _GRAMMARS:
        _check_grammar(document.get(name), name, bounds)
    if not bounds.template_kwargs:
        if document.get("chat_template"):
            raise BadRequest(
                "'chat_template' is not taken here: [limits] template_kwargs has it so", param="chat_template"
            )
        if given := document.get(_TEMPLATE_KWARGS):
            _check_template(given, bounds)
    for name in _FURTHER_IN:
        further = document.get(name)
        if isinstance(further, dict):
            check_members(further, bounds)


def _check_grammar(said: Any, name: str, bounds: Bounds) -> None:
    if isinstance(said, str) and (length := len(said.encode())) > bounds.grammar_bytes:
        raise BadRequest(f"{name!r} has {length} bytes: expected {bounds.grammar_bytes} at most", param=name)


def _check_template(given: Any, bounds: Bounds) -> None:
    """Arguments for a template that may be among those that hurt nobody."""
    if not bounds.template_names:
        said = f"{_TEMPLATE_KWARGS!r} is not taken here: [limits] template_kwargs has it so"
    elif not isinstance(given, dict):
        said = f"{_TEMPLATE_KWARGS!r} is no object"
    else:
        said = ""
        for name, value in given.items():
            if name not in bounds.template_names:
                taken = ", ".join(bounds.template_names)
                said = f"{_TEMPLATE_KWARGS!r} has {_shown(name)}: expected {taken} ([limits] template_names)"
            elif isinstance(value, (dict, list)) or (isinstance(value, str) and len(value) > _LONGEST_ARGUMENT):
                said = f"{_shown(name)} in {_TEMPLATE_KWARGS!r}: expected true, false, a number, or a short text"
    if said:
        raise BadRequest(said, param=_TEMPLATE_KWARGS)


#: Expressions and grammars, by their names in vLLM and SGLang, and in vLLM before 0.12.
_GRAMMARS: Final = ("regex", "grammar", "ebnf", "guided_regex", "guided_grammar", "structural_tag")

_TEMPLATE_KWARGS: Final = "chat_template_kwargs"

#: Not for the template, but for who fills it in (transformers, apply_chat_template): what it returns, and of what.
NOT_OF_A_TEMPLATE: Final = frozenset(
    {"chat_template", "max_length", "padding", "return_dict", "return_tensors", "tokenize", "truncation"}
)

#: Characters of a text that is an argument for a template: C{"medium"}, a date, a language.
_LONGEST_ARGUMENT: Final = 64

#: Members that have such members.
_FURTHER_IN: Final = ("structured_outputs", "sampling_params", "response_format")

_BOUNDED: Final = frozenset({"n", "best_of", "stop", *_GRAMMARS, "chat_template", _TEMPLATE_KWARGS, *_FURTHER_IN})


def _shown(name: str) -> str:
    text = ascii(name)
    return text if len(text) <= 60 else text[:60] + "..."
