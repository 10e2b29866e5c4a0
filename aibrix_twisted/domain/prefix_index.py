"""Which replica has seen which beginnings of prompts?  One index a model.

What a replica has answered is credited to it; what it has been given is expected of it until then, so that a burst with
one beginning goes where that is being computed.  Each replica's blocks are kept in the order of their use, as its
engine keeps them, and the oldest are forgotten at a bound; a replica that came up anew is known to have nothing.

A block costs one look-up however many replicas there are: whoever has it is a bit in one number.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Final

from aibrix_twisted.domain.prompt import BYTES_A_TOKEN, Prompt
from aibrix_twisted.domain.replica import Replica

#: So often, in seconds, is looked for what is too old.
SWEEP_S: Final = 1.0

#: So many blocks of replicas that are gone are let go of at once.
_RETIRED_AT_ONCE: Final = 512

#: What is forgotten at a bound is forgotten in batches, for a look at the oldest is not free.
_BATCH: Final = 256


class _Holder:
    """One life of one replica.

    @ivar kept: blocks that it has answered with, and when last; the oldest first.
    @ivar limit: so many blocks its engine can keep, as far as it says.
    @ivar coming: blocks of what it has been given and not answered, and by how many of these.
    """

    __slots__ = ("bit", "coming", "epoch", "kept", "limit", "retired")

    def __init__(self, bit: int, epoch: int) -> None:
        self.bit = bit
        self.epoch = epoch
        self.kept: dict[int, float] = {}
        self.coming: dict[int, int] = {}
        self.limit = float("inf")
        self.retired = False


class Credit:
    """What one request will leave at the replica that it was given to.  Ends once, with C{confirm} or C{drop}."""

    __slots__ = ("_coming", "_holder", "_index", "_prompt")

    def __init__(self, index: PrefixIndex, holder: _Holder, prompt: Prompt, coming: list[int]) -> None:
        self._index = index
        self._holder = holder
        self._prompt = prompt
        self._coming = coming

    def confirm(self, now: float) -> None:
        """It was answered."""
        self._index._confirm(self._holder, self._prompt.hashes, self._coming, now)

    def drop(self) -> None:
        """It was not."""
        self._index._drop(self._holder, self._coming)


class PrefixIndex:
    """The index of one model.

    @ivar kept: blocks that are kept now, over all replicas.
    """

    def __init__(self, max_blocks: int, ttl_s: float, block_bytes: int = 128) -> None:
        """
        @param block_bytes: how long blocks are, for how many of them an engine can keep.
        @param max_blocks: over all replicas, each counted where it is; never exceeded but by what is expected.
        @param ttl_s: what was not used for so long is forgotten.
        """
        self._max_blocks = max_blocks
        self._ttl_s = ttl_s
        self._block_bytes = block_bytes
        self._where: dict[int, int] = {}
        self._holders: dict[str, _Holder] = {}
        self._retired: list[_Holder] = []
        self._free_bits: list[int] = []
        self._bits = 0
        self._swept = float("-inf")
        self.kept = 0

    def configure(self, max_blocks: int, ttl_s: float) -> None:
        """Take these bounds; what is beyond them goes with the next that comes."""
        self._max_blocks, self._ttl_s = max_blocks, ttl_s

    def depths(self, prompt: Prompt, candidates: Sequence[Replica]) -> list[int]:
        """How many of the prompt's first blocks each candidate has, or is about to have."""
        hashes, where = prompt.hashes, self._where
        if not hashes or hashes[0] not in where:
            return [0] * len(candidates)
        bits, live = [], 0
        for replica in candidates:
            holder = self._holders.get(replica.name)
            known = holder is not None and holder.epoch == replica.health.rises + replica.load.restarts
            bit = holder.bit if holder is not None and known else 0
            bits.append(bit)
            live |= bit
        depth, by_bit = 0, {0: 0}
        for hash in hashes:
            still = where.get(hash, 0) & live
            if still != live:
                _note(by_bit, live & ~still, depth)
                live = still
                if not live:
                    break
            depth += 1
        _note(by_bit, live, depth)
        return [by_bit[bit] for bit in bits]

    def expect(self, prompt: Prompt, replica: Replica, now: float) -> Credit:
        """The replica is given the prompt."""
        if now - self._swept > SWEEP_S:
            self._sweep(now)
        if self._retired:
            self._purge(self._retired[-1])
        holder = self._holder(replica.name, replica.health.rises + replica.load.restarts)
        engine = replica.load.engine
        if engine is not None and engine.kv_tokens:
            holder.limit = engine.kv_tokens * BYTES_A_TOKEN / self._block_bytes
        kept, coming, where, bit = holder.kept, holder.coming, self._where, holder.bit
        new = [hash for hash in prompt.hashes if hash not in kept]
        for hash in new:
            coming[hash] = coming.get(hash, 0) + 1
            where[hash] = where.get(hash, 0) | bit
        return Credit(self, holder, prompt, new)

    def forget(self, name: str) -> None:
        """The replica has nothing any more."""
        holder = self._holders.pop(name, None)
        if holder is not None:
            holder.retired = True
            self._retired.append(holder)

    # -- over a restart --------------------------------------------------------------------------------------

    def dump(self) -> Iterator[tuple[str, list[int], list[float]]]:
        """Each replica's name, its blocks, the oldest first, and when each was last used."""
        for name, holder in self._holders.items():
            if holder.kept:
                yield name, list(holder.kept), list(holder.kept.values())

    def restore(self, name: str, hashes: Iterable[int], used: Iterable[float], epoch: int = 0) -> None:
        """What C{dump} said of a replica, in an index that knows nothing of it."""
        holder = self._holder(name, epoch)
        for hash, at in zip(hashes, used, strict=True):
            if hash not in holder.kept:
                self.kept += 1
            holder.kept[hash] = at
            self._where[hash] = self._where.get(hash, 0) | holder.bit
        self._bound(holder)

    # -- within ----------------------------------------------------------------------------------------------

    def _holder(self, name: str, epoch: int) -> _Holder:
        holder = self._holders.get(name)
        if holder is not None and holder.epoch != epoch:
            self.forget(name)
            holder = None
        if holder is None:
            bit = self._free_bits.pop() if self._free_bits else self._bits
            self._bits += bit == self._bits
            holder = self._holders[name] = _Holder(1 << bit, epoch)
        return holder

    def _confirm(self, holder: _Holder, hashes: list[int], coming: list[int], now: float) -> None:
        if holder.retired:
            return
        kept, where, bit = holder.kept, self._where, holder.bit
        for place in range(len(hashes) - 1, -1, -1):  # the beginning is the last that an engine lets go of
            hash = hashes[place]
            if kept.pop(hash, None) is None:
                self.kept += 1
                where[hash] = where.get(hash, 0) | bit
            kept[hash] = now
        self._drop(holder, coming)
        self._bound(holder)

    def _drop(self, holder: _Holder, coming: list[int]) -> None:
        if holder.retired:
            return
        waiting, kept = holder.coming, holder.kept
        for hash in coming:
            left = waiting[hash] - 1
            if left:
                waiting[hash] = left
                continue
            del waiting[hash]
            if hash not in kept:
                self._clear(hash, holder.bit)

    def _bound(self, holder: _Holder) -> None:
        if len(holder.kept) > holder.limit:
            self._forget_oldest(holder, len(holder.kept) - int(holder.limit) + min(_BATCH, int(holder.limit) // 16))
        if self.kept <= self._max_blocks:
            return
        batch = self.kept - self._max_blocks + min(_BATCH, self._max_blocks // 16)
        while self.kept > self._max_blocks:
            if self._retired:
                self._purge(self._retired[-1])
                continue
            largest = max(self._holders.values(), key=lambda other: len(other.kept), default=holder)
            self._forget_oldest(largest, min(batch, len(largest.kept)))

    def _forget_oldest(self, holder: _Holder, count: int) -> None:
        for hash in list(islice(holder.kept, count)):
            del holder.kept[hash]
            self.kept -= 1
            if hash not in holder.coming:
                self._clear(hash, holder.bit)

    def _sweep(self, now: float) -> None:
        """Forget what is too old."""
        self._swept, oldest = now, now - self._ttl_s
        for name, holder in list(self._holders.items()):
            count = 0
            for used in holder.kept.values():
                if used > oldest:
                    break
                count += 1
            self._forget_oldest(holder, count)
            if not holder.kept and not holder.coming:
                holder.retired = True  # a credit may know it still
                del self._holders[name]
                self._free_bits.append(holder.bit.bit_length() - 1)

    def _purge(self, holder: _Holder) -> None:
        """Let go of a part of what is gone."""
        for blocks, kept in ((holder.kept, True), (holder.coming, False)):
            for hash in list(islice(blocks, _RETIRED_AT_ONCE)):
                del blocks[hash]
                self.kept -= kept
                self._clear(hash, holder.bit)
        if not holder.kept and not holder.coming:
            self._retired.remove(holder)
            self._free_bits.append(holder.bit.bit_length() - 1)

    def _clear(self, hash: int, bit: int) -> None:
        left = self._where.get(hash, 0) & ~bit
        if left:
            self._where[hash] = left
        else:
            self._where.pop(hash, None)


def _note(by_bit: dict[int, int], mask: int, depth: int) -> None:
    """Whoever is in the mask has so many."""
    while mask:
        bit = mask & -mask
        by_bit[bit] = depth
        mask ^= bit
