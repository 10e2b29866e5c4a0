"""C{aibrixctl logs}: the access log, read for people.  No gateway is asked."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final

from aibrix_twisted.ctl.desk import Desk
from aibrix_twisted.ctl.failures import Misused
from aibrix_twisted.ctl.log_filter import filter_of, record_of
from aibrix_twisted.ctl.log_lines import followed, of_files, of_unit
from aibrix_twisted.ctl.log_view import line_text, whole_text

#: As it is installed; it logs to the journal unless told otherwise.
UNIT: Final = "aibrix-gateway"

_AGO: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)(s|m|h|d)")
_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def logs(desk: Desk) -> None:
    """Show the lines that are asked for, as they come.

    @raise Misused: there is no such log, or it cannot be told since when.
    """
    options, screen = desk.options, desk.screen
    since = None if options.since is None else since_of(options.since, desk.pace.wall())
    wanted = filter_of(options, since)
    show = whole_text if options.request else line_text
    lines = others = 0
    for line in _lines(desk, since):
        record = record_of(line)
        if record is None:
            others += 1
            continue
        lines += 1
        if wanted.wants(record):
            screen.answer(line.decode(errors="replace"), show(record))
    if others and not lines:
        screen.remark("none of what was read is a line of the access log; `[access_log] path` says where that is")


def _lines(desk: Desk, since: float | None) -> Iterator[bytes]:
    options = desk.options
    if options.unit or not options.file:
        if options.file:
            raise Misused("found a file and --unit, expected one of them")
        return of_unit(options.unit or UNIT, since, follow=options.follow)
    if not options.follow or options.file == ["-"]:
        return of_files(options.file)
    if len(options.file) > 1:
        raise Misused(f"--follow: found {len(options.file)} files, expected one")
    return followed(options.file[0], desk.pace, from_end=since is None)


def since_of(text: str, now: float) -> float:
    """C{15m} ago, or a time; one without an offset is this machine's.

    @return: seconds since 1970.
    @raise Misused: it is neither.
    """
    ago = _AGO.fullmatch(text)
    if ago is not None:
        return now - float(ago[1]) * _UNITS[ago[2]]
    try:
        at = datetime.fromisoformat(text).astimezone().timestamp()
    except (ValueError, OverflowError, OSError):
        at = math.nan
    if not math.isfinite(at):
        example = datetime.fromtimestamp(now) - timedelta(hours=1)
        raise Misused(f"--since: found {text!r}, expected 30s, 15m, 2h, 1d or a time such as {example:%Y-%m-%dT%H:%M}")
    return at
