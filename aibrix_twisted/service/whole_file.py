"""Files that are written whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path


def write_beside(path: Path, pieces: Iterable[bytes]) -> Path:
    """Write what is to be in a file into another one in its folder, down to the disk.  No other process writes into
    that one, such as a worker that was told the same.

    @return: the other file, which takes the place of the first by L{Path.replace}.
    @raise OSError: it cannot be written.
    @raise ValueError: there can be no such file.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}.new")
    with beside.open("wb") as file:
        file.writelines(pieces)
        file.flush()
        os.fsync(file.fileno())
    return beside
