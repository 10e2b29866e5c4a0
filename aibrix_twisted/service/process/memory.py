"""How much memory the process has."""

from __future__ import annotations

import resource
from pathlib import Path
from typing import Final

_STATM: Final = Path("/proc/self/statm")


def resident_bytes(statm: Path = _STATM) -> int | None:
    """The resident set (proc(5): the second number of C{statm}, in pages); C{None} where the system does not say."""
    try:
        return int(statm.read_text("ascii").split()[1]) * resource.getpagesize()
    except (OSError, ValueError, IndexError):
        return None
