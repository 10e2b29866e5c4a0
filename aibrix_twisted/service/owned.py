"""A Deferred that nobody waits for still has an owner: the log."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger

_log = Logger()


def log_failure_of(deferred: Deferred[Any], doing: str) -> None:
    """Should it fail, say so, and what was being done."""
    _ = deferred.addErrback(lambda failure: _log.failure("while {doing}", failure, doing=doing))
