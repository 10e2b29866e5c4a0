"""How much memory the process has, and how much it may take."""

from __future__ import annotations

import os
import resource
from pathlib import Path
from typing import Final

_STATM: Final = Path("/proc/self/statm")

#: What of the machine's memory all buffers may take together, where the settings do not say.
_SHARE: Final = 4


def resident_bytes(statm: Path = _STATM) -> int | None:
    """The resident set (proc(5): the second number of C{statm}, in pages); C{None} where the system does not say."""
    try:
        return int(statm.read_text("ascii").split()[1]) * resource.getpagesize()
    except (OSError, ValueError, IndexError):
        return None


def memory_limit(configured: int) -> int:
    """What all buffers may take together, in bytes.

    @param configured: C{[limits] memory_bytes}; 0: a quarter of the machine's.
    """
    return configured or os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // _SHARE
