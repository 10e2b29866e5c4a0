"""Asking a replica which models it serves: C{GET /v1/models}, until it answers, and then from time to time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import treq
from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.client import Agent, HTTPConnectionPool, _HTTP11ClientFactory

from aibrix_twisted.domain.replica import Replica
from aibrix_twisted.service.owned import log_failure_of
from aibrix_twisted.wire.models import Entry, NoModelList, entries_of

_log = Logger()

ASK_INTERVAL_S: Final = 1.0  # until it has answered
LOOK_INTERVAL_S: Final = 30.0  # afterwards
TIMEOUT_S: Final = 2.0
MAX_LIST_BYTES: Final = 1 << 20


class _QuietFactory(_HTTP11ClientFactory):
    """Does not log that it starts and stops."""

    noisy = False


class ModelAsker:
    """Asks one replica.

    A replica that fails keeps the models last known of it.  What goes wrong is logged when it changes, not each time.
    """

    def __init__(self, reactor: Any, replica: Replica, answered: Callable[[Replica, list[Entry]], None]) -> None:
        self._replica = replica
        self._answered = answered
        self._reactor = reactor
        pool = HTTPConnectionPool(reactor, persistent=False)
        pool._factory = _QuietFactory
        self._agent = Agent(reactor, pool=pool, connectTimeout=TIMEOUT_S)
        self._asking: Deferred[None] | None = None
        self._said: str | None = None
        self._due = 0.0
        self._call = LoopingCall(self._tick)
        self._call.clock = reactor

    def start(self) -> None:
        """Ask now, and again."""
        log_failure_of(self._call.start(ASK_INTERVAL_S, now=True), "asking for models")

    def stop(self) -> None:
        """Ask no more."""
        if self._call.running:
            self._call.stop()
        asking, self._asking = self._asking, None
        if asking is not None:
            asking.cancel()

    def _tick(self) -> None:
        now = self._reactor.seconds()
        if self._asking is None and now >= self._due:
            self._asking = asking = Deferred.fromCoroutine(self._ask())
            log_failure_of(asking.addBoth(self._asked), "asking for models")

    async def _ask(self) -> None:
        replica = self._replica
        headers: dict[bytes | str, bytes | str] = {"accept": "application/json", "host": replica.authority}
        if replica.authorization is not None:
            headers["authorization"] = replica.authorization
        url = f"http://{replica.authority.decode()}{replica.prefix.decode()}/v1/models"
        response = await treq.get(url, headers=headers, agent=self._agent, timeout=TIMEOUT_S, unbuffered=True)
        body = bytearray()

        def gather(data: bytes) -> None:
            body.extend(data)
            if len(body) > MAX_LIST_BYTES:
                raise NoModelList(f"a list of models of over {MAX_LIST_BYTES} bytes")

        await treq.collect(response, gather).addTimeout(TIMEOUT_S, self._reactor)
        if response.code != 200:
            raise NoModelList(f"status {response.code}")
        self._answered(replica, entries_of(bytes(body)))

    def _asked(self, result: Any) -> None:
        self._asking = None
        replica = self._replica
        if isinstance(result, Failure):
            if not self._call.running:  # our own cancel, which is called otherwise in each state of a connection
                return
            said = f"{result.getErrorMessage()}"
            replica.last_error = f"GET /v1/models: {said}"
            if said != self._said:
                _log.warn("replica {name} does not say which models it serves: {said}", name=replica.name, said=said)
            self._said = said
            self._due = self._reactor.seconds() + ASK_INTERVAL_S * 0.5
        else:
            if self._said != "":
                models = ", ".join(replica.models or ()) or "no model"
                _log.info("replica {name} serves {models}", name=replica.name, models=models)
            self._said = ""
            self._due = self._reactor.seconds() + LOOK_INTERVAL_S
