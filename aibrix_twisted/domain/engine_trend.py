"""What an engine's counters did in the last minute: what they have summed up since it started says little of now."""

from __future__ import annotations

from collections import deque
from typing import Final

from aibrix_twisted.domain.engine_load import EngineLoad

#: How far back is looked, in seconds, and how far apart what is remembered lies at least.
WINDOW_S: Final = 60.0
STEP_S: Final = 5.0

#: What an engine counts from its start on: lower than before, it has started anew.
_SINCE_START: Final = ("prompt_tokens", "generation_tokens", "requests")


_BUSY: Final = "busy"


class EngineTrend:
    """Readings of one engine, a few a minute.

    @ivar restarts: how often its counters began anew.
    """

    __slots__ = ("_busy", "_known", "_last", "_seen", "restarts")

    def __init__(self) -> None:
        self._seen: deque[EngineLoad] = deque(maxlen=round(WINDOW_S / STEP_S) + 1)
        self._busy: deque[tuple[float, float, float]] = deque(maxlen=round(WINDOW_S / STEP_S) + 1)
        self._last: EngineLoad | None = None
        self._known: dict[str, float | None] = {}
        self.restarts = 0

    def counted_before(self, prompt_tokens: float) -> None:
        """Whatever is read next, there were so many before."""
        self._last = EngineLoad(at=float("-inf"), prompt_tokens=prompt_tokens)

    def read(self, engine: EngineLoad) -> None:
        """The engine said something."""
        last, self._last = self._last, engine
        self._known.clear()
        if last is not None and _began_anew(last, engine):
            self.restarts += 1
            self._seen.clear()
        if last is not None and engine.running is not None and engine.at > last.at > float("-inf"):
            self._was_busy(engine, min(engine.at - last.at, STEP_S))
        if not self._seen or engine.at - self._seen[-1].at >= STEP_S:
            self._seen.append(engine)

    def _was_busy(self, engine: EngineLoad, seconds: float) -> None:
        busy_s = seconds if engine.running else 0.0
        if self._busy and engine.at - self._busy[-1][0] < STEP_S:
            began, busy, watched = self._busy[-1]
            self._busy[-1] = (began, busy + busy_s, watched + seconds)
        else:
            self._busy.append((engine.at, busy_s, seconds))

    def gained(self, name: str) -> float | None:
        """By how much a counter has grown within the window; C{None} where that is not known."""
        last, first = self._last, self._first()
        if last is None or first is None:
            return None
        now, then = getattr(last, name), getattr(first, name)
        return None if now is None or then is None or now < then else float(now - then)

    def rate(self, name: str) -> float | None:
        """The same by second.  It is worked out once a reading, for it is asked for with each request."""
        known = self._known
        if name not in known:
            known[name] = self._rate(name)
        return known[name]

    def _rate(self, name: str) -> float | None:
        gained, last, first = self.gained(name), self._last, self._first()
        return gained / (last.at - first.at) if gained is not None and last is not None and first is not None else None

    def mean(self, sum: str, count: str) -> float | None:
        """What one of those that ended within the window took; C{None} where none did, or it is not known."""
        total, of = self.gained(sum), self.gained(count)
        return total / of if total is not None and of else None

    @property
    def busy(self) -> float | None:
        """The share of the window's time in which it computed something; C{None} where it does not say."""
        known = self._known
        if _BUSY not in known:
            known[_BUSY] = self._busy_share()
        return known[_BUSY]

    def _busy_share(self) -> float | None:
        if self._last is None:
            return None
        recent = [(busy, watched) for at, busy, watched in self._busy if self._last.at - at <= WINDOW_S]
        watched_s = sum(watched for _, watched in recent)
        return sum(busy for busy, _ in recent) / watched_s if watched_s else None

    def _first(self) -> EngineLoad | None:
        """The oldest reading within the window, if it is not the newest."""
        last = self._last
        if last is None:
            return None
        return next((seen for seen in self._seen if last.at - seen.at <= WINDOW_S and last.at > seen.at), None)


def _began_anew(before: EngineLoad, now: EngineLoad) -> bool:
    for name in _SINCE_START:
        then, since = getattr(before, name), getattr(now, name)
        if then is not None and since is not None and since < then:
            return True
    return False
