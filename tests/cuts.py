"""Ways to cut bytes: whole, one by one, in two at every place, in three at some."""

from __future__ import annotations

from collections.abc import Iterator


def every_cut(data: bytes) -> Iterator[list[bytes]]:
    """Whole, byte by byte, and in two at every place."""
    yield [data]
    yield [data[at : at + 1] for at in range(len(data))]
    for at in range(1, len(data)):
        yield [data[:at], data[at:]]


def every_two_cuts(data: bytes) -> Iterator[list[bytes]]:
    """In three, at every pair of places: for short data."""
    for first in range(1, len(data)):
        for second in range(first + 1, len(data)):
            yield [data[:first], data[first:second], data[second:]]
