"""Looks every few seconds whether what should agree does, and puts right what does not.

Nothing is expected to be found.  What is, is a defect of the gateway, told in the log with all that is known; the
repair keeps it from growing into an outage: a count that is off would send requests astray for ever.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from aibrix_twisted.domain.exchange import Exchange
from aibrix_twisted.service.audit.checks import Finding, findings
from aibrix_twisted.service.exchange.exchanges import Exchanges
from aibrix_twisted.service.owned import log_failure_of
from aibrix_twisted.service.telemetry.record import line_of

_log = Logger()

INTERVAL_S: Final = 5.0

#: The two clocks may drift apart by so much from one look to the next.
JUMP_S: Final = 2.0

#: Requests that are not ours are told of once they were there at so many looks in a row.
STRANGERS_LOOKS: Final = 3

#: What is found is logged, and no more than this of one look.
MAX_LOGGED: Final = 20


class Auditor:
    """Looks at one gateway."""

    def __init__(self, exchanges: Exchanges, clock: IReactorTime, wall: Callable[[], float]) -> None:
        """
        @param wall: seconds since 1970.
        """
        self._exchanges = exchanges
        self._clock = clock
        self._wall = wall
        self._strangers: dict[str, int] = {}  # by replica: looks in a row at which there were some
        self._ahead = 0.0  # of the wall's clock before ours
        self._call = LoopingCall(self.look)
        self._call.clock = clock

    def start(self) -> None:
        """Begin to look."""
        self._ahead = self._wall() - self._clock.seconds()
        log_failure_of(self._call.start(INTERVAL_S, now=False), "auditing")

    def stop(self) -> None:
        """Look no more."""
        if self._call.running:
            self._call.stop()

    def look(self) -> int:
        """Compare everything, and put right what disagrees.

        @return: how much did.
        """
        found = list(self._clocks())
        try:
            found += findings(self._exchanges)
        except Exception:  # noqa: BLE001 - a check that fails must not end the audits
            _log.failure("while auditing")
        self._look_for_strangers()
        for number, finding in enumerate(found):
            self._repair(finding, quiet=number >= MAX_LOGGED)
        return len(found)

    def _repair(self, finding: Finding, *, quiet: bool) -> None:
        self._exchanges.metrics.repairs[finding.kind] += 1
        if not quiet:
            _log.error("repaired ({kind}): {what}{timeline}", kind=finding.kind, what=finding.what,
                       timeline=self._timeline(finding.exchange))  # fmt: skip
        try:
            finding.repair()
        except Exception:  # noqa: BLE001 - as above
            _log.failure("while repairing ({kind}): {what}", kind=finding.kind, what=finding.what)

    def _timeline(self, exchange: Exchange | None) -> str:
        return "" if exchange is None else f": {line_of(exchange, self._wall(), 1.0, slow=False).decode().strip()}"

    def _look_for_strangers(self) -> None:
        """An engine that keeps running what is not ours is told of once, for as long as it does: it may serve others,
        too, or not let go of what its clients have left.  Nothing of ours is wrong, so nothing is repaired."""
        now = self._clock.seconds()
        seen = {}
        for replica in self._exchanges.fleet.replicas:
            strangers = replica.load.strangers(now)
            if strangers:
                seen[replica.name] = looks = self._strangers.get(replica.name, 0) + 1
                if looks == STRANGERS_LOOKS:
                    _log.warn("replica {name} runs {count} requests that are not this gateway's", name=replica.name,
                              count=strangers)  # fmt: skip
        self._strangers = seen

    def _clocks(self) -> list[Finding]:
        """The two clocks run alike: one that was set, or that stood still while the machine slept, did not."""
        ahead = self._wall() - self._clock.seconds()
        jump, self._ahead = ahead - self._ahead, ahead
        if abs(jump) < JUMP_S:
            return []
        return [Finding("clock", f"the wall's clock has jumped by {jump:+.1f} s", lambda: None)]
