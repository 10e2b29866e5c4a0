"""Handing over to a new process: it takes the listening sockets, we finish what we have.

::

    we                                      the new process
    open a pair, start it  ---------------> reads its settings, adopts the sockets
      <---------------------------------- {"ready": true}, once its reactor runs
    accept no more, tell the manager
      {"go": true} -----------------------> speaks to the manager
    finish our streams, end
      <---------------------------------- {"hurry": true}, if it is to stop itself

Until it is ready we serve as if nothing were: one that does not start, or says nothing in time, changes nothing.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Mapping
from typing import Any, Final

from twisted.internet.interfaces import IDelayedCall
from twisted.internet.protocol import ProcessProtocol
from twisted.logger import Logger
from twisted.python.failure import Failure

from aibrix_twisted.service.process.inherited import SOCKETS, handed_down
from aibrix_twisted.service.process.link import Link, Words, pair
from aibrix_twisted.service.process.sockets import Sockets

_log = Logger()

#: Where the new process is told which descriptor its end of the line is.
PREDECESSOR: Final = "AIBRIX_PREDECESSOR"

#: A new process that is not ready after so long is given up.
PATIENCE_S: Final = 60.0

#: For what it said last to be read, once it is known to be over.
_LAST_WORDS_S: Final = 0.1

#: The first descriptor that is passed: the others are the standard ones.
_FIRST: Final = 3

#: Of the manager's words to this process: they are not for another one.
_OURS_ONLY: Final = ("WATCHDOG_PID", "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")


def environment_of_child(environ: Mapping[str, str], **more: str) -> dict[str, str]:
    """For a process that we start."""
    return {name: value for name, value in environ.items() if name not in _OURS_ONLY} | more


class Successor(ProcessProtocol):
    """One attempt at it."""

    def __init__(
        self, reactor: Any, sockets: Sockets, ready: Callable[[int], None], failed: Callable[[str], None],
        hurry: Callable[[], None],
    ) -> None:  # fmt: skip
        """
        @param ready: it serves; its process id.
        @param failed: it does not, and will not; why.
        @param hurry: called after C{ready}: it wants us to be done soon.
        """
        self._reactor = reactor
        self._sockets = sockets
        self._ready = ready
        self._failed = failed
        self._hurry = hurry
        self._why: list[str] = []
        self._over = False
        self._pid = 0
        self._patience: IDelayedCall | None = None

    def start(self, environ: Mapping[str, str]) -> None:
        """Begin: the command that started us, with what we listen on.

        @raise OSError: the system does not let us.
        """
        ours, its = pair()
        self._link = Link(self._reactor, ours, self._heard, self._hung_up)
        passed = self._sockets.to_hand_on()
        named = [(key, _FIRST + 1 + at) for at, (key, _) in enumerate(passed)]
        descriptors = {0: 0, 1: 1, 2: 2, _FIRST: its.fileno()}
        descriptors |= {number: held for (_, number), (_, held) in zip(named, passed, strict=True)}
        with its:
            process = self._reactor.spawnProcess(
                self,
                sys.executable,
                [sys.executable, *sys.orig_argv[1:]],
                environment_of_child(environ, **{SOCKETS: handed_down(named), PREDECESSOR: str(_FIRST)}),
                childFDs=descriptors,
            )
        self._pid = process.pid
        self._patience = self._reactor.callLater(PATIENCE_S, self._gave_up)

    def processExited(self, reason: Failure) -> None:
        """From the reactor: the process is over.  A daemon that lets go of its terminal ends its first process well."""
        ended: Any = reason.value
        if ended.exitCode != 0:
            how = f"exit code {ended.exitCode}" if ended.signal is None else f"signal {ended.signal}"
            self._reactor.callLater(_LAST_WORDS_S, self._end, f"it ended with {how}; what it said is in the log")

    def _heard(self, words: Words) -> None:
        if "why" in words:
            self._why.append(str(words["why"]))
        if words.get("ready") and not self._over:
            self._over = True
            self._cancel()
            self._pid = int(words["ready"])
            self._ready(self._pid)
            self._link.send({"go": True})
        if words.get("hurry"):
            self._hurry()

    def _hung_up(self) -> None:
        """It has closed its end: there is nobody any more, though it may take a moment until that is known."""
        if not self._over:
            self._reactor.callLater(1.0, self._end, "it ended before it was ready")

    def _gave_up(self) -> None:
        _log.error("the new process {pid} is not ready after {s:g} s", pid=self._pid, s=PATIENCE_S)
        try:
            os.kill(self._pid, signal.SIGKILL)
        except ProcessLookupError:
            _log.info("it is gone")
        self._end(f"it was not ready after {PATIENCE_S:g} s")

    def _end(self, why: str) -> None:
        if not self._over:
            self._over = True
            self._cancel()
            self._link.close()
            self._failed("; ".join(self._why) or why)

    def _cancel(self) -> None:
        if self._patience is not None and self._patience.active():
            self._patience.cancel()
