"""Traces: who asked for how much, and when.  One JSON object a line."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

import orjson

from aibrix_twisted.domain.prompt import BYTES_A_TOKEN, Prompt, block_ends

#: Of one block of Mooncake's traces.
MOONCAKE_BLOCK_TOKENS: Final = 512


class Arrival(NamedTuple):
    """One request.

    @ivar at: seconds since the trace's beginning.
    @ivar output_tokens: of its answer, 1 at least.
    """

    at: float
    prompt: Prompt
    input_tokens: int
    output_tokens: int


class BadTrace(Exception):
    """A line is not what was expected; says which, and what."""


def read_trace(lines: Iterable[bytes]) -> list[Arrival]:
    """Mooncake's format (FAST '25, C{timestamp} in milliseconds), or what C{GET /api/flights} gives, which says with
    C{block_bytes} how long its blocks are, and with C{input_bytes} the whole text.

    @return: by time.
    @raise BadTrace: a line is neither.
    """
    found = [_arrival(number, line) for number, line in enumerate(lines, 1) if line.strip()]
    if not found:
        raise BadTrace("there is no request in it")
    found.sort(key=lambda arrival: arrival.at)
    first = found[0].at
    return [arrival._replace(at=arrival.at - first) for arrival in found]


def _arrival(number: int, line: bytes) -> Arrival:
    try:
        said = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise BadTrace(f"line {number}: it is not JSON: {error}") from None
    if not isinstance(said, dict):
        raise BadTrace(f"line {number}: found {line[:40]!r}, expected a JSON object")
    at = _number(said, "timestamp", number)
    tokens, answer = (int(_number(said, name, number)) for name in ("input_length", "output_length"))
    hashes = said.get("hash_ids")
    if not isinstance(hashes, list) or not all(type(hash) is int for hash in hashes):
        raise BadTrace(f"line {number}: hash_ids: expected a list of whole numbers")
    length = int(_number(said, "input_bytes", number)) if "input_bytes" in said else tokens * BYTES_A_TOKEN
    return Arrival(at / 1000.0, _prompt(length, hashes, said.get("block_bytes"), number), tokens, max(1, answer))


def _prompt(length: int, hashes: Sequence[int], block_bytes: Any, number: int) -> Prompt:
    if block_bytes is None:
        size = MOONCAKE_BLOCK_TOKENS * BYTES_A_TOKEN
        return Prompt(length, hashes, range(size, size * (len(hashes) + 1), size))
    if type(block_bytes) is not int or block_bytes < 1:
        raise BadTrace(f"line {number}: block_bytes: expected a whole number above 0")
    return Prompt(length, hashes, block_ends(block_bytes))


def _number(said: dict[str, Any], name: str, number: int) -> float:
    value = said.get(name)
    if type(value) not in (int, float) or not 0 <= value < 1e15:  # type: ignore[operator]
        raise BadTrace(f"line {number}: {name}: expected a number, not below 0")
    return float(value)  # type: ignore[arg-type]
