"""What is exposed of every process under the usual names: CPU, memory, descriptors."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

#: What was found holds for so many times as long as it took.  Descriptors are counted one by one, which at ten thousand
#: of them takes five milliseconds and more, and the workers show each other all that they expose once a second.
_SHARE: Final = 1000


class ProcessFacts(Collector):
    """They are looked for seldom where that is dear."""

    def __init__(self, process: Collector, seconds: Callable[[], float]) -> None:
        """
        @param process: finds them.
        @param seconds: a fine clock.
        """
        self._process = process
        self._seconds = seconds
        self._found: list[Metric] = []
        self._holds = float("-inf")

    def collect(self) -> Iterable[Metric]:
        """All of it, as new as that."""
        begun = self._seconds()
        if begun >= self._holds:
            self._found = list(self._process.collect())
            ended = self._seconds()
            self._holds = ended + _SHARE * (ended - begun)
        return self._found
