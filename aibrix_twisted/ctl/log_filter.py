"""Which lines of an access log are wanted."""

from __future__ import annotations

from argparse import Namespace
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson

#: A line, as docs/access-log.md describes it.  One of another version may have less in it, or more.
Record = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Filter:
    """All that is said has to hold; of failed, slow, and longer than so many seconds, one of those that are said.

    @ivar since: as lines have it: RFC 3339, UTC, milliseconds; such times sort as text does.
    """

    since: str = ""
    request: str = ""
    model: str = ""
    replica: str = ""
    outcome: str = ""
    errors: bool = False
    slow: bool = False
    over_s: float | None = None

    def wants(self, record: Record) -> bool:
        """Whether this is one."""
        return (
            record["time"] >= self.since
            and self.request in ("", record["id"])
            and self.model in ("", record.get("model"))
            and self.outcome in ("", record.get("outcome"))
            and (not self.replica or self.replica in replicas_of(record))
            and self._is_trouble(record)
        )

    def _is_trouble(self, record: Record) -> bool:
        if not (self.errors or self.slow or self.over_s is not None):
            return True
        return (
            (self.errors and has_failed(record))
            or (self.slow and bool(record.get("slow")))
            or (self.over_s is not None and waited_s(record) > self.over_s)
        )


def filter_of(options: Namespace, since: float | None) -> Filter:
    """What the options ask for.

    @param since: seconds since 1970.
    """
    return Filter(
        since="" if since is None else _as_lines_have_it(since),
        request=options.request or "",
        model=options.model or "",
        replica=options.replica or "",
        outcome=options.outcome or "",
        errors=options.errors,
        slow=options.slow,
        over_s=options.over,
    )


def record_of(line: bytes) -> Record | None:
    """The line, taken apart; C{None}: it is something else, as the daemon's own log in the same journal."""
    if not line.startswith(b"{"):
        return None
    try:
        record = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    is_one = isinstance(record, dict) and isinstance(record.get("time"), str) and isinstance(record.get("id"), str)
    return record if is_one else None


def has_failed(record: Record) -> bool:
    """The client was not given what it asked for."""
    return bool(record.get("error")) or record.get("status", 0) >= 400 or record.get("outcome") != "complete"


def waited_s(record: Record) -> float:
    """What is held against a bound: to the first byte of an answer; where there was none, to the end."""
    waited = record.get("ttft_s")
    return float(record.get("duration_s", 0.0) if waited is None else waited)


def replicas_of(record: Record) -> set[str]:
    """All that had a part in it."""
    return {record.get("replica", ""), *(each.get("replica", "") for each in record.get("tries") or ())}


def _as_lines_have_it(at: float) -> str:
    text = datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")
