"""A prompt as routing knows it: its length, and a chain of hashes over its blocks.  Never its text.

A block's hash covers everything before it, so that two prompts which share a hash share all of their beginning; that is
what an engine's prefix cache can be expected to hold of the one when the other comes.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from struct import Struct
from typing import Final

from xxhash import xxh64_intdigest

#: After so many blocks they are twice as long, and so on: a prompt of 32 MB has no more than nine times as many.
BLOCKS_OF_A_SIZE: Final = 1024

#: What is hashed of one prompt at most, in bytes; longer ones are as well known by this much.
MAX_BYTES: Final = 1 << 26

#: How many bytes of text a token is, roughly, where nobody has counted them (as AIBrix and the peers have it).
BYTES_A_TOKEN: Final = 4

_le64: Final = Struct("<Q").pack


class Prompt:
    """One prompt.

    @ivar length: in bytes of text.
    @ivar hashes: of its whole blocks; an incomplete one at the end has none.
    @ivar ends: where each block ends, in bytes; there may be more of them than hashes.
    """

    __slots__ = ("ends", "hashes", "length")

    def __init__(self, length: int, hashes: Sequence[int] = (), ends: Sequence[int] = ()) -> None:
        self.length = length
        self.hashes: list[int] = hashes if isinstance(hashes, list) else list(hashes)
        self.ends = ends

    def covered(self, blocks: int) -> int:
        """So many of its first blocks are so many bytes."""
        return min(self.ends[blocks - 1], self.length) if blocks else 0

    @property
    def tokens(self) -> int:
        """How long it is, roughly, in tokens."""
        return -(-self.length // BYTES_A_TOKEN)


#: Of a request whose prompt is not known, or not asked for.
NO_PROMPT: Final = Prompt(0)


@lru_cache(maxsize=16)
def block_ends(block_bytes: int) -> tuple[int, ...]:
    """Where blocks end, up to L{MAX_BYTES}."""
    ends, end, size = [], 0, block_bytes
    while end + size <= MAX_BYTES:
        for _ in range(BLOCKS_OF_A_SIZE):
            end += size
            ends.append(end)
        size *= 2
    return tuple(ends)


def prompt_of(text: bytes, block_bytes: int, *, scope: bytes = b"", seed: int = 0) -> Prompt:
    """Cut a text into blocks, and chain their hashes: XXH64 over the hash before, little-endian, and the block.

    @param scope: what else must be equal for two prompts to share anything (vLLM's C{cache_salt}).
    @param seed: of XXH64; also what comes before the first block, where there is no scope (as AIBrix has it).
    """
    ends, length = block_ends(block_bytes), len(text)
    before = xxh64_intdigest(scope, seed) if scope else seed
    hashes: list[int] = []
    start = 0
    for end in ends:
        if end > length:
            break
        before = xxh64_intdigest(_le64(before) + text[start:end], seed)
        hashes.append(before)
        start = end
    return Prompt(length, hashes, ends)
