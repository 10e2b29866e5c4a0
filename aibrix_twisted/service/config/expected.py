"""What the validator found wrong, said as what was expected."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Sequence
from typing import Any, Final

from aibrix_twisted.domain.settings import Settings

_TYPES: Final = {
    "bool_type": "true or false",
    "dataclass_type": "a table",
    "dict_type": "a table",
    "float_type": "a number",
    "int_from_float": "a whole number",
    "int_type": "a whole number",
    "string_type": "a string",
    "tuple_type": "a list",
}

_BOUNDS: Final = {
    "greater_than": ("gt", "a number greater than"),
    "greater_than_equal": ("ge", "a number not below"),
    "less_than_equal": ("le", "a number not above"),
    "string_too_short": ("min_length", "characters: at least"),
    "too_short": ("min_length", "members: at least"),
}


def expectation(error: Any, place: Sequence[str | int]) -> str:
    """What would have been right where pydantic reports this error."""
    kind, context = error["type"], error.get("ctx", {})
    if kind in _TYPES:
        return _TYPES[kind]
    if kind in _BOUNDS:
        key, words = _BOUNDS[kind]
        return f"{words} {context[key]:g}"
    if kind == "literal_error":
        return f"one of {context['expected']}"
    if is_unknown_key(error):
        return f"one of {', '.join(_keys_at(place[:-1]))}"
    return str(error["msg"])


def is_unknown_key(error: Any) -> bool:
    """Whether the error is that there is no such key."""
    return error["type"] in ("unexpected_keyword_argument", "extra_forbidden")


def _keys_at(place: Sequence[str | int]) -> list[str]:
    """The keys of the section at a place."""
    section: Any = Settings
    for part in place:
        if isinstance(part, str):
            section = typing.get_type_hints(section).get(part)
            while typing.get_args(section):  # a tuple of tables, or one that may be left out
                section = typing.get_args(section)[0]
    return sorted(field.name for field in dataclasses.fields(section))
