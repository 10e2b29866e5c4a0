"""What is known of replicas' caches, over a restart of the gateway: a file, written at its stop and read at its start.

A line of JSON says whose blocks follow and how many; then come, for each, the hashes (eight bytes) and how many seconds
before the file was written they were last used (four bytes), both little-endian.  Nothing of a text can be read from
it.
"""

from __future__ import annotations

import os
import sys
from array import array
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import orjson
from twisted.logger import Logger

from aibrix_twisted.domain.fleet import Fleet
from aibrix_twisted.domain.prefix_index import PrefixIndex
from aibrix_twisted.domain.replica import Replica
from aibrix_twisted.service.whole_file import write_beside

if TYPE_CHECKING:
    from aibrix_twisted.service.exchange.choose import Chooser

_log = Logger()

_VERSION: Final = 1

#: No gateway has written more than that.
_MAX_BYTES: Final = 1 << 31

_OLDEST_S: Final = 0xFFFFFFFF

_SWAPPED: Final = sys.byteorder != "little"


class Kept(NamedTuple):
    """What one replica was known to have.

    @ivar used: by the reactor's clock; the oldest first.
    @ivar prompt_tokens: that its engine had counted by then; C{None}: it did not say.
    """

    model: str
    replica: str
    hashes: list[int]
    used: list[float]
    prompt_tokens: float | None


class BadState(Exception):
    """It is no such file, or one of another version, or of other blocks."""


def keep_state(chooser: Chooser, fleet: Fleet, *, now: float, wall: float) -> None:
    """When the gateway stops: write the file that the settings name, if they do.  What goes wrong is logged."""
    prefix = chooser.settings.prefix_cache
    if not prefix.state_file:
        return
    replicas = {replica.name: replica for replica in fleet.replicas}
    try:
        save(prefix.state_file, chooser.indexes, replicas, prefix.block_bytes, now=now, wall=wall)
    except (OSError, ValueError) as error:
        _log.error("what is known of caches is lost: {path}: {error}", path=prefix.state_file, error=error)


def restore_state(chooser: Chooser, *, now: float, wall: float) -> None:
    """When it starts: read it, if it is there.  What is too old by now is left out."""
    prefix = chooser.settings.prefix_cache
    if not prefix.state_file or not os.path.exists(prefix.state_file):
        return
    try:
        kept = load(prefix.state_file, prefix.block_bytes, now=now, wall=wall)
    except (OSError, BadState) as error:
        _log.warn("nothing is known of caches: {path}: {error}", path=prefix.state_file, error=error)
        return
    for one in kept:
        young = [(hash, at) for hash, at in zip(one.hashes, one.used, strict=True) if now - at < prefix.ttl]
        chooser.index(one.model).restore(one.replica, [hash for hash, _ in young], [at for _, at in young])
        if one.prompt_tokens is not None:
            chooser.counted[one.replica] = one.prompt_tokens
    blocks = sum(index.kept for index in chooser.indexes.values())
    _log.info("{blocks} blocks of prompts are known to be in caches", blocks=blocks)


def save(
    path: str, indexes: Mapping[str, PrefixIndex], replicas: Mapping[str, Replica], block_bytes: int,
    *, now: float, wall: float,
) -> None:  # fmt: skip
    """Write all that is kept; the file is there whole, or as it was before.

    @param replicas: by name, for what their engines have counted.
    @param now: by the reactor's clock; C{wall}: seconds since 1970.
    @raise OSError: it cannot be written; likewise C{ValueError}.
    """
    sections: list[dict[str, Any]] = []
    pieces: list[bytes] = []
    for model, index in indexes.items():
        for name, hashes, used in index.dump():
            engine = replicas[name].load.engine if name in replicas else None
            tokens = engine.prompt_tokens if engine is not None else None
            sections.append({"model": model, "replica": name, "blocks": len(hashes), "prompt_tokens": tokens})
            ages = array("I", [min(_OLDEST_S, round(abs(now - at))) for at in used])
            pieces += [_little(array("Q", hashes)), _little(ages)]
    head = {"version": _VERSION, "block_bytes": block_bytes, "saved_at": wall, "sections": sections}
    write_beside(Path(path), (orjson.dumps(head) + b"\n", *pieces)).replace(path)


def load(path: str, block_bytes: int, *, now: float, wall: float) -> list[Kept]:
    """Read what C{save} wrote.

    @raise OSError: it cannot be read.
    @raise BadState: there is nothing in it that could be used.
    """
    if os.path.getsize(path) > _MAX_BYTES:
        raise BadState(f"it has more than {_MAX_BYTES} bytes")
    head, _, data = Path(path).read_bytes().partition(b"\n")
    try:
        said = orjson.loads(head)
        if (said["version"], said["block_bytes"]) != (_VERSION, block_bytes):
            raise BadState("it is of another version, or of blocks of another size")
        away = max(0.0, wall - float(said["saved_at"]))  # clocks are set back, too
        return _sections(said["sections"], data, now - away)
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise BadState(f"it is no such file: {error!r}") from None


def _sections(sections: list[dict[str, Any]], data: bytes, saved: float) -> list[Kept]:
    found, at = [], 0
    for section in sections:
        blocks = int(section["blocks"])
        if blocks < 0 or at + 12 * blocks > len(data):
            raise ValueError("it ends too soon")
        hashes, ages = array("Q", data[at : at + 8 * blocks]), array("I", data[at + 8 * blocks : at + 12 * blocks])
        if _SWAPPED:
            hashes.byteswap()
            ages.byteswap()
        at += 12 * blocks
        tokens = section["prompt_tokens"]
        used = [saved - age for age in ages]
        found.append(
            Kept(section["model"], section["replica"], hashes.tolist(), used, None if tokens is None else float(tokens))
        )
    return found


def _little(numbers: array[int]) -> bytes:
    if _SWAPPED:
        numbers.byteswap()
    return numbers.tobytes()
