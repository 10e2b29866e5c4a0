"""Edits to a request's body that leave every other byte as it came.

A member's place is found by a walk over the tokens at the top of the document; nothing is decoded but names, and
nothing is written anew but the one value.  The document is known to be JSON: L{aibrix_twisted.wire.openai.peek} has
decoded it, and has seen to it that no name that is edited comes twice.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

import orjson

from aibrix_twisted.wire.multipart import boundary_of, fields_of

_TOKEN: Final = re.compile(rb'"(?:[^"\\]++|\\.)*+"|[\[\]{}:,]', re.DOTALL)
_SPACE: Final = b" \t\r\n"

_INCLUDE_USAGE: Final = b'"include_usage":true'


def set_model(body: bytes, model: str) -> bytes:
    """The same document with another C{model}."""
    start, end = _find(body, "model")
    return body[:start] + orjson.dumps(model) + body[end:]


def set_form_model(body: bytes, content_type: bytes | None, model: str) -> bytes:
    """The same form with another C{model}."""
    start, end = fields_of(body, boundary_of(content_type), ("model",))["model"]
    return body[:start] + model.encode() + body[end:]


def ask_for_ids(body: bytes, *, has: bool) -> bytes:
    """The same document with C{return_token_ids}: vLLM then says which tokens it made.

    @param has: it speaks of it.
    """
    if not has:
        return _with_member(body, b'"return_token_ids":true')
    start, end = _find(body, "return_token_ids")
    return body[:start] + b"true" + body[end:]


def force_include_usage(body: bytes, *, has_options: bool) -> bytes:
    """The same document with C{stream_options.include_usage} true.

    @param has_options: C{stream_options} is there, as an object or as null.
    """
    if not has_options:
        return _with_member(body, b'"stream_options":{%b}' % _INCLUDE_USAGE)
    start, end = _find(body, "stream_options")
    options = body[start:end]
    if options == b"null":
        options = b"{%b}" % _INCLUDE_USAGE
    else:
        for name, inner_start, inner_end in _members(options):
            if name == "include_usage":
                options = options[:inner_start] + b"true" + options[inner_end:]
                break
        else:
            options = _with_member(options, _INCLUDE_USAGE)
    return body[:start] + options + body[end:]


def _with_member(document: bytes, member: bytes) -> bytes:
    """Append a member to an object."""
    close = document.rindex(b"}")
    before = document[:close].rstrip(_SPACE)
    comma = b"" if before.endswith(b"{") else b","
    return before + comma + member + document[len(before) :]


def _find(body: bytes, wanted: str) -> tuple[int, int]:
    for name, start, end in _members(body):
        if name == wanted:
            return start, end
    raise KeyError(wanted)


def _members(document: bytes) -> Iterator[tuple[str, int, int]]:
    """The members at the top of an object: name, and where the value begins and ends, space around it left out."""
    depth = start = 0
    name: str | None = None
    for token in _TOKEN.finditer(document):
        kind = document[token.start()]
        if kind == _QUOTE:
            if depth == 1 and name is None:
                name = orjson.loads(token[0])
        elif kind in _OPENING:
            depth += 1
        elif kind in _CLOSING:
            depth -= 1
            if not depth and name is not None:
                yield name, *_trimmed(document, start, token.start())
                return
        elif depth == 1:
            if kind == _COLON:
                start = token.end()
            elif name is not None:
                yield name, *_trimmed(document, start, token.start())
                name = None


def _trimmed(document: bytes, start: int, end: int) -> tuple[int, int]:
    value = document[start:end]
    start += len(value) - len(value.lstrip(_SPACE))
    return start, start + len(value.strip(_SPACE))


_QUOTE: Final = ord('"')
_COLON: Final = ord(":")
_OPENING: Final = b"{["
_CLOSING: Final = b"}]"
