"""One bound for all that is kept in memory for others, and how near it is.

What is kept for one client is a L{Share}, which is told anew every now and then; the sum is known at any time.  Before
the bound is reached, what can be done without goes, in this order: what is read ahead for clients that are slow, what
streams are kept for healing, requests that are new.
"""

from __future__ import annotations

import enum
from typing import Final

#: What is kept, and why.
KINDS: Final = ("requests", "answers", "kept", "unsent")


class Pressure(enum.IntEnum):
    """How near the bound is; each includes those before it."""

    NONE = 0
    SLOW = 1  # nothing is read ahead for clients that do not keep up
    KEPT = 2  # streams are not kept for healing
    FULL = 3  # new requests are refused


#: From which share of the bound on.
_SHARES: Final = ((0.95, Pressure.FULL), (0.85, Pressure.KEPT), (0.7, Pressure.SLOW))


class Memory:
    """All of it, in bytes.

    @ivar total: how much is taken.
    @ivar pressure: how near the bound is.
    """

    def __init__(self, limit: int) -> None:
        """@param limit: how much may be taken."""
        self._by_kind = [0] * len(KINDS)
        self.total = 0
        self.configure(limit)

    def configure(self, limit: int) -> None:
        """Take this bound."""
        self._limit = limit
        self.pressure = self._pressure()

    @property
    def by_kind(self) -> dict[str, int]:
        """How much of each of L{KINDS}."""
        return dict(zip(KINDS, self._by_kind, strict=True))

    def share(self) -> Share:
        """One client's, empty yet."""
        return Share(self)

    def changed(self, kind: int, by: int) -> None:
        """From a share."""
        self._by_kind[kind] += by
        self.total += by
        self.pressure = self._pressure()

    def _pressure(self) -> Pressure:
        for share, pressure in _SHARES:
            if self.total >= share * self._limit:
                return pressure
        return Pressure.NONE


_NOTHING: Final = (0, 0, 0, 0)


class Share:
    """What is kept for one client."""

    __slots__ = ("_memory", "_parts")

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self._parts = _NOTHING

    @property
    def total(self) -> int:
        """In bytes."""
        return sum(self._parts)

    def set(self, requests: int, answers: int, kept: int, unsent: int) -> None:
        """So much it is now, in the order of L{KINDS}."""
        parts, before = (requests, answers, kept, unsent), self._parts
        if parts != before:
            self._parts = parts
            for kind, part in enumerate(parts):
                if part != before[kind]:
                    self._memory.changed(kind, part - before[kind])

    def clear(self) -> None:
        """Nothing is kept for it any more."""
        if self._parts is not _NOTHING:
            self.set(*_NOTHING)
            self._parts = _NOTHING
