"""How long the collector of cycles stops everything."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any, Final

from aibrix_twisted.domain.histogram import Histogram
from aibrix_twisted.service.telemetry.buckets import PAUSE_S

#: Of CPython's collector.
GENERATIONS: Final = ("0", "1", "2")


class GcPauses:
    """Told by the collector itself (C{gc.callbacks}), in whichever thread it runs: the others stand still then, too.

    @ivar by_generation: the pauses, in seconds; a collection of a generation includes the younger ones.
    """

    def __init__(self, seconds: Callable[[], float]) -> None:
        """@param seconds: a clock that is finer than a millisecond."""
        self._seconds = seconds
        self._began = 0.0
        self._pauses = tuple(Histogram(PAUSE_S) for _ in GENERATIONS)
        self.by_generation = dict(zip(GENERATIONS, self._pauses, strict=True))

    def start(self) -> None:
        """Begin to measure."""
        if self._called not in gc.callbacks:
            gc.callbacks.append(self._called)

    def stop(self) -> None:
        """Measure no more."""
        if self._called in gc.callbacks:
            gc.callbacks.remove(self._called)

    def _called(self, phase: str, info: dict[str, Any]) -> None:
        if phase == "start":
            self._began = self._seconds()
        else:
            self._pauses[info["generation"]].observe(self._seconds() - self._began)
