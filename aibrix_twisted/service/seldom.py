"""Tracebacks of what should never happen: what can be made to happen will be, and often; the log is not to fill up."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from twisted.logger import Logger

#: So many are logged in so many seconds.
MOST: Final = 10
EVERY_S: Final = 60.0


class Seldom:
    """Logs some of them, and how many there were."""

    def __init__(self, seconds: Callable[[], float]) -> None:
        """@param seconds: a clock."""
        self._seconds = seconds
        self._since = seconds()
        self._count = 0

    def failure(self, log: Logger, form: str, **said: Any) -> None:
        """Log the exception that is being handled, unless there were too many lately.

        @param log: whose it is.
        @param form: what was being done, as L{Logger.failure} takes it.
        """
        now = self._seconds()
        if now - self._since > EVERY_S:
            left_out, self._count, self._since = self._count - MOST, 0, now
            if left_out > 0:
                log.error("{count} tracebacks were left out", count=left_out)
        self._count += 1
        if self._count <= MOST:
            log.failure(form, **said)
