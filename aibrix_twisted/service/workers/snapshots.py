"""A document of each process that the others may read at any time, and after its death: in one file without a name.

Each has a stretch of it, with room for two: the newest is written over the older one.  Each begins with its number,
its length and its hash, so that one that was not written to its end is found out, and the one before it stands.
"""

from __future__ import annotations

import os
import struct
import tempfile
from typing import Any, Final

import orjson
from xxhash import xxh3_64_intdigest

_HEAD: Final = struct.Struct("<QQQ")

#: Of each process.  What is not written takes no memory.
STRETCH_BYTES: Final = 1 << 26

_HALF: Final = STRETCH_BYTES // 2


def unnamed_file(size: int = 0) -> int:
    """A file that is gone with the last process that has it.

    @return: its descriptor.
    """
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("aibrix")
    else:
        with tempfile.TemporaryFile() as file:
            descriptor = os.dup(file.fileno())
    os.ftruncate(descriptor, size)
    return descriptor


def write_snapshot(descriptor: int, region: int, number: int, document: Any) -> bool:
    """Put it there.  One process writes.

    @param number: above 0, and above that of the document before.
    @return: whether there was room for it.
    """
    data = orjson.dumps(document)
    if len(data) + _HEAD.size > _HALF:
        return False
    head = _HEAD.pack(number, len(data), xxh3_64_intdigest(data))
    os.pwrite(descriptor, head + data, region * STRETCH_BYTES + number % 2 * _HALF)
    return True


def read_snapshot(descriptor: int, region: int) -> Any:
    """The newest that is whole; C{None}: there is none yet."""
    starts = [region * STRETCH_BYTES + half * _HALF for half in (0, 1)]
    heads = [(_HEAD.unpack(os.pread(descriptor, _HEAD.size, start)), start) for start in starts]
    for (number, length, hash), start in sorted(heads, reverse=True):
        if number and 0 < length <= _HALF:
            data = os.pread(descriptor, length, start + _HEAD.size)
            if xxh3_64_intdigest(data) == hash:
                return orjson.loads(data)
    return None


def clear_snapshot(descriptor: int, region: int) -> None:
    """There is none any more."""
    for half in (0, 1):
        os.pwrite(descriptor, bytes(_HEAD.size), region * STRETCH_BYTES + half * _HALF)
