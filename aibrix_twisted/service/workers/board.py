"""What each process has in flight at each replica, in memory that all of them see.

A region for each process, written by it alone: a table of pairs, the hash of a replica's name and URL, and a count.
There is no lock: a number of eight bytes is read as it was written.  A process that dies leaves its region behind, and
the supervisor, who gives regions out, clears it.
"""

from __future__ import annotations

import mmap
from typing import Final

from xxhash import xxh3_64_intdigest

#: Replicas of a region; in a fleet of more, the rest are counted by each process for itself.
PLACES: Final = 4096

_WORDS: Final = 2 * PLACES

#: Processes there can be at once, those that only finish what they have included.
REGIONS: Final = 128


#: What is said of a region in the first words.
_FREE, _TAKEN, _GONE = 0, 1, 2


def board_bytes() -> int:
    """How large the memory is."""
    return 8 * (REGIONS + REGIONS * _WORDS)


class Board:
    """One process's view of it."""

    def __init__(self, descriptor: int, mine: int = -1) -> None:
        """@param mine: the region that is ours; -1: none is."""
        self._memory = mmap.mmap(descriptor, board_bytes())
        self._words = memoryview(self._memory).cast("q")
        self._mine = mine
        self._places: list[dict[str, int]] = [{} for _ in range(REGIONS)]
        self._hashes: dict[str, int] = {}

    # -- for a worker ----------------------------------------------------------------------------------------

    def cell(self, key: str) -> memoryview | None:
        """Where our count of this replica is kept; C{None}: there is no place left."""
        hash = self._hash(key)
        start = self._start(self._mine)
        for step in range(PLACES):
            at = start + 2 * ((hash + step) % PLACES)
            if self._words[at] in (0, hash):
                self._words[at] = hash
                return self._words[at + 1 : at + 2]
        return None

    def peers(self) -> list[int]:
        """Regions of other processes that live."""
        words = self._words
        return [region for region in range(REGIONS) if words[region] == _TAKEN and region != self._mine]

    def others(self) -> list[int]:
        """Regions of those, and of those that are gone and whose counts nobody has taken over yet."""
        words = self._words
        return [region for region in range(REGIONS) if words[region] != _FREE and region != self._mine]

    def elsewhere(self, key: str, peers: list[int]) -> int:
        """What they have in flight at this replica, together."""
        hash, total, words = self._hash(key), 0, self._words
        for region in peers:
            at = self._places[region].get(key)
            if at is None or words[at] != hash:
                at = self._find(region, hash)
                if at is None:
                    continue
                self._places[region][key] = at
            total += words[at + 1]
        return total

    def forget(self, keys: set[str]) -> None:
        """There are no replicas but these."""
        self._hashes = {key: hash for key, hash in self._hashes.items() if key in keys}
        for region, places in enumerate(self._places):
            self._places[region] = {key: at for key, at in places.items() if key in keys}

    # -- for the supervisor ----------------------------------------------------------------------------------

    def take(self) -> int | None:
        """A region that nobody has, for a process that is about to be started; it is clean."""
        for region in range(REGIONS):
            if self._words[region] == _FREE:
                self._words[region] = _TAKEN
                return region
        return None

    def clear(self, region: int) -> None:
        """Its process is gone, and so is what it had in flight."""
        start = self._start(region)
        self._words[start : start + _WORDS] = memoryview(bytes(8 * _WORDS)).cast("q")
        self._words[region] = _GONE

    def give_back(self, region: int) -> None:
        """Another process may have it."""
        self._words[region] = _FREE

    # -- inside ----------------------------------------------------------------------------------------------

    @staticmethod
    def _start(region: int) -> int:
        return REGIONS + region * _WORDS

    def _hash(self, key: str) -> int:
        """Never 0: that is an empty place."""
        hash = self._hashes.get(key)
        if hash is None:
            hash = self._hashes[key] = xxh3_64_intdigest(key.encode()) >> 1 or 1
        return hash

    def _find(self, region: int, hash: int) -> int | None:
        start = self._start(region)
        for step in range(PLACES):
            at = start + 2 * ((hash + step) % PLACES)
            found = self._words[at]
            if found == hash:
                return at
            if not found:
                return None
        return None
