"""C{aibrixctl check}: what the daemon would say of a configuration file."""

from __future__ import annotations

import orjson

from aibrix_twisted.ctl.desk import Desk
from aibrix_twisted.ctl.failures import Misused


def check(desk: Desk) -> None:
    """Validate a file.  No gateway is asked.

    @raise Misused: it cannot be used; every problem is in the notes, as the daemon would say it.
    """
    from aibrix_twisted.service.config.load import ConfigError, Source  # slow to load, and only this needs it

    path = desk.options.file
    try:
        settings = Source(path, {}).load()
    except ConfigError as error:
        raise Misused("", error.problems, answer=orjson.dumps({"problems": error.problems}).decode()) from None
    said = f"{path}: valid; [[replica]]: {len(settings.replica)}, [[model]]: {len(settings.model)}"
    desk.screen.answer('{"problems":[]}', said)
