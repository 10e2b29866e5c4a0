"""The truth of one request at one engine."""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.simulation.spelling import Piece


@dataclass(eq=False)
class Served:
    """One request that an engine was given whole.

    @ivar fault: what was done with it; C{""}: it was answered well.
    @ivar said: events of the answer that were sent whole, or all of its body.
    @ivar finished: the answer was sent to the end that its framing has.
    @ivar gone_at: when the connection was lost beneath it.
    """

    engine: str
    id: str
    path: str
    body: bytes
    headers: dict[str, str]
    at: float
    fault: str = ""
    status: int = 0
    said: list[Piece] = field(default_factory=list)
    begun: bool = False
    finished: bool = False
    over_at: float | None = None
    gone_at: float | None = None
