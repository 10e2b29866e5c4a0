"""Signals of the daemon: SIGTERM and SIGINT drain, SIGHUP re-reads the configuration, SIGUSR2 hands over to a new
process.

twistd installs its own handlers when the reactor starts, and ends the process by the signal that stopped it; ours
replace them once the reactor runs, so that a drained process exits with 0.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Any

Handler = Callable[[], None]


def handle_signals(reactor: Any, *, stop: Handler, reload: Handler, hand_over: Handler) -> None:
    """Call these from the reactor's thread, from when the reactor runs."""

    handlers = {
        signal.SIGTERM: stop,
        signal.SIGINT: stop,
        signal.SIGHUP: reload,
        signal.SIGUSR2: hand_over,
    }

    def install() -> None:
        for number, handler in handlers.items():
            signal.signal(number, _from_reactor(reactor, handler))

    reactor.callWhenRunning(install)


def _from_reactor(reactor: Any, handler: Handler) -> Callable[[int, Any], None]:
    def received(number: int, frame: Any) -> None:
        reactor.callFromThread(handler)

    return received
