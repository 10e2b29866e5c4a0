"""What every exchange shares, and the door through which requests become exchanges."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

from aibrix_twisted.domain.exchange import Exchange
from aibrix_twisted.domain.fleet import Fleet
from aibrix_twisted.domain.settings import Settings
from aibrix_twisted.domain.timing import Stamps
from aibrix_twisted.errors import Draining, GatewayError, MethodNotAllowed
from aibrix_twisted.interfaces import Random
from aibrix_twisted.policy.retry import RetryBudget
from aibrix_twisted.service.discovery.catalogue import Catalogue
from aibrix_twisted.service.downstream.protocol import DownstreamConnection, Work
from aibrix_twisted.service.downstream.reply import Reply
from aibrix_twisted.service.exchange.admit import route_of
from aibrix_twisted.service.exchange.choose import Chooser
from aibrix_twisted.service.exchange.local import Local, allowed, is_local
from aibrix_twisted.service.exchange.respond import send_error
from aibrix_twisted.service.exchange.run import Run
from aibrix_twisted.service.exchange.settle import settle_exchange
from aibrix_twisted.service.telemetry.record import record_of
from aibrix_twisted.service.telemetry.access_log import AccessLog
from aibrix_twisted.service.telemetry.metrics import Metrics
from aibrix_twisted.service.upstream.pool import Pool
from aibrix_twisted.service.wheel import Wheel
from aibrix_twisted.wire.head import RequestHead

#: A request id that a client may choose: 1 to 128 visible ASCII characters.
_FIT_ID: Final = re.compile(rb"[!-~]{1,128}")


class Exchanges:
    """Opens exchanges and hears of their ends.

    @ivar live: the clients that are connected.
    @ivar late: counts of what came for a response that had ended, by event.
    """

    def __init__(
        self,
        reactor: Any,
        settings: Settings,
        *,
        wheel: Wheel,
        pool: Pool,
        metrics: Metrics,
        access_log: AccessLog,
        rng: Random,
        boot_id: str,
    ) -> None:
        self.seconds: Callable[[], float] = reactor.seconds
        self.wheel = wheel
        self.pool = pool
        self.metrics = metrics
        self.late = metrics.late_events
        self.draining = False
        self.live: set[DownstreamConnection] = set()
        self.under_way = 0
        self.catalogue = Catalogue()
        self.fleet = Fleet()
        self._access_log = access_log
        self._rng = rng
        self._boot_id = boot_id
        self._made = 0
        self.configure(settings)
