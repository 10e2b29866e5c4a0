"""Rendezvous hashing (Thaler and Ravishankar, 1998): a key goes to whoever scores highest with it.

When a replica leaves, only its own keys move; and nobody has to remember a ring.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from math import log
from typing import Final

from xxhash import xxh64_intdigest

_OFFSET: Final = 14695981039346656037
_PRIME: Final = 1099511628211
_64_BITS: Final = (1 << 64) - 1


def fnv_scores(key: bytes, names: Sequence[str]) -> list[int]:
    """FNV-1a, 64 bits, over the key, a zero byte, and each name: AIBrix's scores.

    The hashes of all names are computed in the lanes of one long number: a multiplication for each letter, whatever the
    number of names.
    """
    start = _OFFSET
    for byte in key + b"\0":
        start = ((start ^ byte) * _PRIME) & _64_BITS
    scores = [0] * len(names)
    for places, letters, ones, mask in _lanes(tuple(names)):
        lanes = start * ones
        for letter in letters:
            lanes = ((lanes ^ letter) * _PRIME) & mask
        packed = lanes.to_bytes(16 * len(places), "little")
        for lane, place in enumerate(places):
            scores[place] = int.from_bytes(packed[16 * lane : 16 * lane + 8], "little")
    return scores


def highest(scores: Sequence[float], names: Sequence[str]) -> int:
    """Whose score is highest; of equals, the one whose name is first."""
    best = max(scores)
    return min([place for place, score in enumerate(scores) if score == best], key=lambda place: names[place])


def order(key: bytes, names: Sequence[str], weights: Sequence[float]) -> list[int]:
    """Everyone, the one that the key belongs to first; each is first for as many keys as its weight says.

    XXH64 of the key and the name, as a lot for each: the logarithm of a weighted lottery (Efraimidis and Spirakis).
    """
    seed = xxh64_intdigest(key)
    scores = [
        log((xxh64_intdigest(name.encode(), seed) + 1) / 18446744073709551617) / weight
        for name, weight in zip(names, weights, strict=True)
    ]
    return sorted(range(len(names)), key=lambda place: (-scores[place], names[place]))


_Lanes = tuple[tuple[int, ...], tuple[int, ...], int, int]


@lru_cache(maxsize=64)
def _lanes(names: tuple[str, ...]) -> tuple[_Lanes, ...]:
    """For the names of each length: their places, their letters one above the other, a one in each lane, and what is
    kept of a lane.
    """
    by_length: dict[int, list[tuple[int, bytes]]] = {}
    for place, name in enumerate(names):
        encoded = name.encode()
        by_length.setdefault(len(encoded), []).append((place, encoded))
    found = []
    for length, placed in by_length.items():
        ones = sum(1 << 128 * lane for lane in range(len(placed)))
        letters = tuple(
            sum(encoded[at] << 128 * lane for lane, (_, encoded) in enumerate(placed)) for at in range(length)
        )
        found.append((tuple(place for place, _ in placed), letters, ones, ones * _64_BITS))
    return tuple(found)
