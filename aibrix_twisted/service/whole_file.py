"""Files that are written whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from glob import escape
from pathlib import Path
from typing import Final

#: What somebody began to write so long ago, in seconds, was never finished: he was killed.
_GIVEN_UP_S: Final = 3600.0


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
    _tidy(path, beside)
    return beside


def _tidy(path: Path, newest: Path) -> None:
    """Remove what was left by those who were killed amid it, each under a name of his own: it would add up."""
    with suppress(OSError):  # it is in nobody's way
        since = newest.stat().st_mtime - _GIVEN_UP_S
        for left in path.parent.glob(f".{escape(path.name)}.*.new"):
            if left.stat().st_mtime < since:
                left.unlink()
