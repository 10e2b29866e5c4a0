"""What the documents of live state are made of: the gateway, as they see it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Protocol

from aibrix_twisted.service.admin.stats_shapes import Facts
from aibrix_twisted.service.telemetry.book import Book
from aibrix_twisted.service.telemetry.exposition import Gauged
from aibrix_twisted.service.telemetry.recent import Recent


class Seen(Gauged, Protocol):
    """The gateway.

    @ivar recent: what was counted lately.
    """

    recent: Recent

    def wall(self) -> float:
        """Seconds since 1970."""
        ...

    @property
    def book(self) -> Book:
        """Exchanges under way, and the last that are over."""
        ...

    @property
    def draining(self) -> bool:
        """It takes no new work."""
        ...

    @property
    def uptime_s(self) -> float:
        """Since it was started."""
        ...

    @property
    def rss_bytes(self) -> int | None:
        """Resident memory, where the system says."""
        ...

    def facts_elsewhere(self) -> Sequence[Facts]:
        """How it is at other processes of the same gateway."""
        ...

    def readiness(self) -> tuple[bool, bytes]:
        """Whether requests can be served, and a document that says why."""
        ...


def timestamp(wall: float) -> str:
    """RFC 3339 in UTC, to the microsecond: asked for what ended since then, nothing is told twice or missed."""
    return datetime.fromtimestamp(wall, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
