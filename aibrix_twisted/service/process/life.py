"""The daemon as its service manager sees it: ready, reloading, stopping, alive; and what signals ask of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from twisted.logger import Logger

from aibrix_twisted.service.process.drain import Drain
from aibrix_twisted.service.process.herald import Herald
from aibrix_twisted.service.process.inherited import stored_name
from aibrix_twisted.service.process.notify import Notifier, manager_address, watchdog_s
from aibrix_twisted.service.process.predecessor import Predecessor
from aibrix_twisted.service.process.signals import handle_signals
from aibrix_twisted.service.process.sockets import Sockets
from aibrix_twisted.service.process.successor import Successor

_log = Logger()


class Serving(Protocol):
    """The daemon.

    @ivar drain: how it ends.
    """

    drain: Drain

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

    def keep_for_successor(self) -> None:
        """Write down what a process that is about to take over should know."""
        ...

    def hand_over(self) -> None:
        """Another process serves: finish what is under way, and end the process."""
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
        predecessor: Predecessor | None = None,
    ) -> None:
        """
        @param environ: where the service manager says who it is.
        @param monotonic_ns: its clock (CLOCK_MONOTONIC).
        @param predecessor: the process that we take over from.
        """
        self._reactor = reactor
        self._daemon = daemon
        self._sockets = sockets
        self._environ = environ
        self._predecessor = predecessor
        self._handing_over = self._stopping = False
        self._notifier = Notifier.to(manager_address(environ))
        self._herald = Herald(reactor, self._notifier, daemon.status, monotonic_ns, watchdog_s(environ))

    def begin(self) -> None:
        """Once the reactor runs, the process is ready, and listens to signals."""
        handle_signals(self._reactor, stop=self.stop, reload=self.reload, hand_over=self.hand_over)
        self._reactor.callWhenRunning(self._ready)

    def _ready(self) -> None:
        """It listens."""
        spares = self._sockets.drop_spares()
        if self._predecessor is None:
            self._speak(spares)
        else:
            self._daemon.drain.afterwards = self._predecessor.finish
            self._predecessor.ready(lambda: self._speak(spares))

    def _speak(self, spares: list[str]) -> None:
        """Tell the manager.  What is listened on is kept by it for whoever comes after us."""
        for key in spares:
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
        self._stopping = True
        self._daemon.drain_and_stop()
        self._herald.stopping()

    def hand_over(self) -> None:
        """SIGUSR2."""
        if self._handing_over or self._stopping:
            _log.warn("not handed over: {why}", why="it stops already" if self._stopping else "it is under way already")
            return
        self._handing_over = True
        _log.info("handing over to a new process")
        self._daemon.keep_for_successor()
        successor = Successor(self._reactor, self._sockets, self._handed_over, self._not_handed_over, self.stop)
        try:
            successor.start(self._environ)
        except OSError as error:
            self._not_handed_over(str(error))

    def _handed_over(self, pid: int) -> None:
        _log.info("handed over to process {pid}", pid=pid)
        self._herald.replaced_by(pid)
        self._daemon.hand_over()

    def _not_handed_over(self, why: str) -> None:
        self._handing_over = False
        _log.error("not handed over, and serving as before: the new process did not start: {why}", why=why)
        self._herald.note(f"not handed over: {why}")
