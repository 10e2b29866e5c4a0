"""The daemon as its service manager sees it: ready, reloading, stopping, alive; and what signals ask of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from twisted.logger import Logger

from aibrix_twisted.service.process.herald import Herald
from aibrix_twisted.service.process.inherited import stored_name
from aibrix_twisted.service.process.notify import Notifier, manager_address, watchdog_s
from aibrix_twisted.service.process.signals import handle_signals
from aibrix_twisted.service.process.sockets import Sockets

_log = Logger()


class Serving(Protocol):
    """The daemon."""

    def status(self) -> str:
        """What it does, in one line."""
        ...

    def reload(self) -> str:
        """Re-read the settings.

        @return: why they were not taken; C{""}: they were.
        """
        ...

    def drain_and_stop(self) -> None:
        """Finish what is under way, and end the process."""
        ...


class Life:
    """Of one process."""

    def __init__(
        self,
        reactor: Any,
        daemon: Serving,
        sockets: Sockets,
        environ: Mapping[str, str],
        monotonic_ns: Callable[[], int],
    ) -> None:
        """
        @param environ: where the service manager says who it is.
        @param monotonic_ns: its clock (CLOCK_MONOTONIC).
        """
        self._reactor = reactor
        self._daemon = daemon
        self._sockets = sockets
        self._notifier = Notifier.to(manager_address(environ))
        self._herald = Herald(reactor, self._notifier, daemon.status, monotonic_ns, watchdog_s(environ))

    def begin(self) -> None:
        """Once the reactor runs, the process is ready, and listens to signals."""
        handle_signals(self._reactor, stop=self.stop, reload=self.reload)
        self._reactor.callWhenRunning(self._ready)

    def _ready(self) -> None:
        """It listens.  What it listens on is kept for whoever comes after it."""
        for key in self._sockets.drop_spares():
            if key in self._sockets.stored:
                self._notifier.tell({"FDSTOREREMOVE": 1, "FDNAME": stored_name(key)})
        for key, held in self._sockets.opened.items():
            if key not in self._sockets.stored:
                self._notifier.tell({"FDSTORE": 1, "FDNAME": stored_name(key), "FDPOLL": 0}, (held.fileno(),))
        self._herald.ready()

    def reload(self) -> None:
        """SIGHUP."""
        self._herald.reloading()
        self._herald.reloaded(self._daemon.reload())

    def stop(self) -> None:
        """SIGTERM, SIGINT."""
        self._daemon.drain_and_stop()
        self._herald.stopping()
