"""A document of each process that the others may read at any time, and after its death: in one file without a name.

Each has a stretch of it.  It begins with its length and its hash, so that who reads while it is written finds out, and
reads again.
"""

from __future__ import annotations

import os
import struct
import tempfile
from typing import Any, Final

import orjson
from xxhash import xxh3_64_intdigest

_HEAD: Final = struct.Struct("<QQ")

#: A reader that finds it in the middle of being written so often leaves it for the next time.
_TRIES: Final = 5

#: Of each process.  What is not written takes no memory.
STRETCH_BYTES: Final = 1 << 26


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


def write_snapshot(descriptor: int, region: int, document: Any) -> bool:
    """Put it there.  One process writes.

    @return: whether there was room for it.
    """
    data = orjson.dumps(document)
    if len(data) + _HEAD.size > STRETCH_BYTES:
        return False
    os.pwrite(descriptor, _HEAD.pack(len(data), xxh3_64_intdigest(data)) + data, region * STRETCH_BYTES)
    return True


def read_snapshot(descriptor: int, region: int) -> Any:
    """What is there; C{None}: nothing yet, or it is being written."""
    start = region * STRETCH_BYTES
    for _ in range(_TRIES):
        head = os.pread(descriptor, _HEAD.size, start)
        if len(head) < _HEAD.size:
            return None
        length, hash = _HEAD.unpack(head)
        if not 0 < length <= STRETCH_BYTES:
            return None
        data = os.pread(descriptor, length, start + _HEAD.size)
        if xxh3_64_intdigest(data) == hash:
            return orjson.loads(data)
    return None


def clear_snapshot(descriptor: int, region: int) -> None:
    """There is none any more."""
    os.pwrite(descriptor, bytes(_HEAD.size), region * STRETCH_BYTES)
