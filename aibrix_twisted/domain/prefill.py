"""What of prompts an engine has yet to read, and how fast it reads: from what it was given, and when first tokens came.

An engine reads prompts in their order, roughly.  When the first token of one comes, what was ahead of it has been read,
and the time since the first token before it is what its own prompt took.  In between, the one that is being read is
taken to go on at the rate that was learned.  No engine is asked anything: its own metrics are a second old, and this
changes with each request.
"""

from __future__ import annotations

from typing import Final

#: Bytes of text a second, before anything was learned: 10 000 tokens or so.
USUAL_RATE: Final = 40_000.0

#: What was measured before counts for this much less with each new measurement.
_FADES: Final = 0.98

#: What is said of an engine that has not been measured counts like so many seconds of reading.
_PRIOR_S: Final = 0.5

#: A prompt of which less than this is to be read says more of the network than of the engine, in bytes.
_TELLING: Final = 512


class Reading:
    """One prompt, on its way to its first token.

    @ivar work: bytes of it that the engine is taken not to have in its cache.
    @ivar streamed: its first token will be seen.  That of another is taken to have come when it is due.
    """

    __slots__ = ("since", "streamed", "work")

    def __init__(self, work: float, since: float, *, streamed: bool) -> None:
        self.work = work
        self.since = since
        self.streamed = streamed


class Prefill:
    """One engine.

    @ivar rate: bytes a second, above 0.
    @ivar measured: whether a first token has taught anything yet.
    """

    __slots__ = ("_ahead", "_read_bytes", "_read_s", "_since", "_under_way", "measured", "rate")

    def __init__(self, prior: float = USUAL_RATE) -> None:
        self._under_way: dict[Reading, None] = {}
        self._ahead = 0.0
        self._since = float("-inf")
        self._read_bytes = prior * _PRIOR_S
        self._read_s = _PRIOR_S
        self.measured = False
        self.rate = prior

    def ahead(self, now: float) -> float:
        """Bytes that are to be read before a prompt that comes now."""
        under_way = self._under_way
        if not under_way:
            return 0.0
        first = next(iter(under_way))
        if not first.streamed:
            self._pass(now)
            if not under_way:
                return 0.0
            first = next(iter(under_way))
        read = (now - self._since) * self.rate
        ahead = self._ahead - (first.work if read > first.work else read)
        return ahead if ahead > 0.0 else 0.0

    def begin(self, work: float, now: float, *, streamed: bool) -> Reading:
        """It is given one more."""
        self._pass(now)
        if not self._under_way:
            self._since = now
        reading = Reading(work, now, streamed=streamed)
        self._under_way[reading] = None
        self._ahead += work
        return reading

    def read(self, reading: Reading, now: float) -> None:
        """Its first token has come; a second time changes nothing."""
        if reading not in self._under_way:
            return
        work, passed = reading.work, []
        for other in self._under_way:
            if other is reading:
                break
            if not other.streamed:  # it was ahead, and has been read
                passed.append(other)
                work += other.work
        elapsed = now - max(self._since, passed[0].since if passed else reading.since)
        if work >= _TELLING and elapsed > 0:
            self._read_bytes = self._read_bytes * _FADES + work
            self._read_s = self._read_s * _FADES + elapsed
            self.rate = self._read_bytes / self._read_s
            self.measured = True
        for other in (*passed, reading):
            self._remove(other)
        self._since = now

    def abandon(self, reading: Reading, now: float) -> None:
        """It is not wanted any more, or over; one whose first token has come is not here."""
        if reading in self._under_way:
            if next(iter(self._under_way)) is reading:
                self._since = now
            self._remove(reading)

    def _pass(self, now: float) -> None:
        """What cannot be seen is done when it is due."""
        rate = self.rate
        while self._under_way:
            first = next(iter(self._under_way))
            due = max(self._since, first.since) + first.work / rate
            if first.streamed or due > now:
                return
            self._remove(first)
            self._since = due

    def _remove(self, reading: Reading) -> None:
        del self._under_way[reading]
        self._ahead = self._ahead - reading.work if self._under_way else 0.0
