"""The process that we take over from: told when we are ready, or why we never will be; waited for when we stop."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, MutableMapping, Sequence
from typing import Any

from twisted.internet.defer import Deferred

from aibrix_twisted.service.process.link import Link, Words
from aibrix_twisted.service.process.successor import PREDECESSOR


def predecessor_end(environ: MutableMapping[str, str]) -> socket.socket | None:
    """Our end of the line to it; C{None}: there is none.  It is taken out of the environment."""
    said = environ.pop(PREDECESSOR, "")
    return socket.socket(fileno=int(said)) if said else None


class Predecessor:
    """One, for as long as it lives."""

    def __init__(self, reactor: Any, end: socket.socket) -> None:
        self._go: Callable[[], None] | None = None
        self._gone: Deferred[None] = Deferred()
        self._link = Link(reactor, end, self._heard, self._hung_up)

    def ready(self, go: Callable[[], None]) -> None:
        """We serve.

        @param go: called once it has told the manager that we are the service, or is gone.
        """
        self._go = go
        self._link.send({"ready": os.getpid()})

    def refuse(self, problems: Sequence[str]) -> None:
        """We cannot serve."""
        for problem in problems:
            self._link.send({"why": problem})

    async def finish(self) -> None:
        """Have it be done soon, and wait until it is."""
        self._link.send({"hurry": True})
        await self._gone

    def _heard(self, words: Words) -> None:
        if words.get("go"):
            self._proceed()

    def _hung_up(self) -> None:
        self._proceed()
        self._gone.callback(None)

    def _proceed(self) -> None:
        go, self._go = self._go, None
        if go is not None:
            go()
