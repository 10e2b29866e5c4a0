"""What is there once the daemon is built stays: the collector of cycles need not look at it again and again."""

from __future__ import annotations

import gc
from typing import Final

#: Objects made before the youngest are looked at; a request makes some twenty that are tracked, and leaves no cycle.
_YOUNGEST: Final = 10_000


def settle_heap() -> None:
    """Leave out what is there now from every collection to come, and collect less often."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNGEST, 20, 50)
