"""Query strings: each parameter is known, given once, and what it is expected to be."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from aibrix_twisted.service.admin.documents import Denied

_NUMBER: Final = re.compile(r"-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)", re.ASCII)


@dataclass(frozen=True, slots=True)
class Parameter:
    """One that a path takes.

    @ivar text: what it does, for people.
    @ivar expected: what it has to be, for whoever gave something else.
    @ivar schema: the same, as JSON Schema has it.
    @ivar read: makes the value of what was given.  Raises L{ValueError}.
    """

    name: str
    text: str
    expected: str
    schema: Mapping[str, Any]
    read: Callable[[str], Any] = field(repr=False)


def a_text(name: str, text: str) -> Parameter:
    """Whatever is given."""
    return Parameter(name, text, "a text", {"type": "string"}, str)


def one_of(name: str, text: str, values: Sequence[str]) -> Parameter:
    """One of these words."""

    def read(given: str) -> str:
        if given not in values:
            raise ValueError(given)
        return given

    return Parameter(name, text, f"one of {', '.join(values)}", {"type": "string", "enum": list(values)}, read)


def a_count(name: str, text: str, least: int, most: int, default: int) -> Parameter:
    """A whole number, in decimal digits."""

    def read(given: str) -> int:
        if not (given.isascii() and given.isdecimal() and len(given) < 20 and least <= int(given) <= most):
            raise ValueError(given)
        return int(given)

    schema = {"type": "integer", "minimum": least, "maximum": most, "default": default}
    return Parameter(name, text, f"a whole number from {least} to {most}", schema, read)


def seconds(name: str, text: str, *, above: float | None = None, most: float = 86400.0 * 365) -> Parameter:
    """A number of seconds: from 0, or above something."""

    def read(given: str) -> float:
        value = float(given) if _NUMBER.fullmatch(given) else math.nan
        if not (0 <= value <= most) or (above is not None and value <= above):
            raise ValueError(given)
        return value

    bound = {"minimum": 0} if above is None else {"exclusiveMinimum": above}
    since = "from 0" if above is None else f"above {above:g}, up"
    return Parameter(name, text, f"seconds {since} to {most:.12g}", {"type": "number", **bound, "maximum": most}, read)


def a_time(name: str, text: str) -> Parameter:
    """A time of RFC 3339, in seconds since 1970."""

    def read(given: str) -> float:
        if not _TIME.fullmatch(given):
            raise ValueError(given)
        return datetime.fromisoformat(given.upper()).astimezone(UTC).timestamp()

    expected = "a time such as 2026-01-31T12:00:00Z"
    return Parameter(name, text, expected, {"type": "string", "format": "date-time"}, read)


def read_query(given: Mapping[bytes, Sequence[bytes]], known: Sequence[Parameter]) -> dict[str, Any]:
    """The values of those that were given, by name.

    @raise Denied: one is not known, not what is expected, or there twice.
    """
    by_name = {parameter.name: parameter for parameter in known}
    values: dict[str, Any] = {}
    for raw, said in given.items():
        name = raw.decode("utf-8", "replace")
        parameter = by_name.get(name)
        if parameter is None:
            names = ", ".join(by_name) or "none"
            raise Denied(400, f"unknown parameter {name!r}: expected {names}", "unknown_parameter", param=name)
        if len(said) > 1:
            raise Denied(400, f"{name}: found {len(said)} times, expected once", "invalid_parameter", param=name)
        value = said[0].decode("utf-8", "replace")
        try:
            values[name] = parameter.read(value)
        except (ValueError, OverflowError):
            message = f"{name}: found {value[:80]!r}, expected {parameter.expected}"
            raise Denied(400, message, "invalid_parameter", param=name) from None
    return values
