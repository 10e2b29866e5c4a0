"""How clients' handshakes went: counted, and the reasons of those that failed told, not too often."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from OpenSSL import SSL
from twisted.logger import Logger
from twisted.python.failure import Failure

from aibrix_twisted.service.tls.failed import TlsFailed, why

_log = Logger()

#: One failure is told in so many seconds; how many there were besides is told with the next.
TOLD_EVERY_S: Final = 10.0


class Handshakes:
    """Of all listeners.

    @ivar counts: by outcome: C{complete}; C{failed}; C{late}; C{gone}: the client left.
    """

    def __init__(self, seconds: Callable[[], float], counts: dict[str, int]) -> None:
        self._seconds = seconds
        self.counts = counts
        self._told_at: float | None = None
        self._untold = 0

    def complete(self) -> None:
        """It went well."""
        self.counts["complete"] += 1

    def late(self, client: str) -> None:
        """It took too long."""
        self.counts["late"] += 1
        self._tell(client, "it was not over in time")

    def over(self, client: str, reason: Failure) -> None:
        """It ended before it was complete.  That a client leaves says nothing; that it cannot be spoken to does."""
        if reason.check(SSL.Error, TlsFailed):
            self.counts["failed"] += 1
            self._tell(client, why(reason))
        else:
            self.counts["gone"] += 1

    def _tell(self, client: str, reason: str) -> None:
        now = self._seconds()
        if self._told_at is not None and now - self._told_at < TOLD_EVERY_S:
            self._untold += 1
            return
        more = f"; {self._untold} more failed since the last that was told" if self._untold else ""
        self._told_at, self._untold = now, 0
        _log.warn("no TLS with the client {client}: {reason}{more}", client=client, reason=reason, more=more)
