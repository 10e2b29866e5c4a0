"""One of several workers: a gateway that has a supervisor for its service manager, and peers."""

from __future__ import annotations

import dataclasses
import os
import signal
import socket
from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING, Any, Final

import orjson
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from aibrix_twisted.domain.settings import Settings
from aibrix_twisted.service.admin.elsewhere import answer_elsewhere
from aibrix_twisted.service.config.load import Source
from aibrix_twisted.service.owned import log_failure_of
from aibrix_twisted.service.process.link import Link, Words
from aibrix_twisted.service.process.memory import memory_limit
from aibrix_twisted.service.process.sockets import Sockets
from aibrix_twisted.service.workers.asking import Asking
from aibrix_twisted.service.workers.board import Board
from aibrix_twisted.service.workers.child import BOARD_FD, LINK_FD, SNAPSHOTS_FD, WORKER
from aibrix_twisted.service.workers.peers import Peers

if TYPE_CHECKING:
    from aibrix_twisted.service.gateway import Gateway

_log = Logger()

#: How often the supervisor hears that the reactor turns.
BEAT_S: Final = 1.0

#: A terminal sends these to the supervisor, too, who knows what to do.
_SUPERVISORS: Final = (signal.SIGINT, signal.SIGHUP, signal.SIGUSR2)


@dataclass(frozen=True, slots=True)
class Post:
    """Which worker this process is.

    @ivar index: from 0.
    @ivar workers: how many there are.
    @ivar region: its own of what all of them see.
    """

    index: int
    workers: int
    region: int


def post_of(environ: MutableMapping[str, str]) -> Post | None:
    """As the supervisor said; C{None}: there is none.  It is taken out of the environment."""
    said = environ.pop(WORKER, "")
    return Post(**orjson.loads(said)) if said else None


def share_of(settings: Settings, workers: int) -> Settings:
    """What one of so many may take of what the settings allow all of them together."""
    limits, queue = settings.limits, settings.queue
    return dataclasses.replace(
        settings,
        limits=dataclasses.replace(
            limits,
            connections=ceil(limits.connections / workers),
            in_flight=ceil(limits.in_flight / workers),
            memory_bytes=ceil(memory_limit(limits.memory_bytes) / workers),
            spool_total_bytes=ceil(limits.spool_total_bytes / workers),
        ),
        queue=dataclasses.replace(
            queue, max_requests=ceil(queue.max_requests / workers), max_bytes=ceil(queue.max_bytes / workers)
        ),
    )


class Share(Source):
    """Settings of one of several workers."""

    def __init__(self, path: str | None, flags: Mapping[str, Any], workers: int) -> None:
        super().__init__(path, flags)
        self._workers = workers

    def load(self) -> Settings:
        """As L{Source.load}, but for what all share."""
        return share_of(super().load(), self._workers)


class Worker:
    """Of this process."""

    def __init__(self, reactor: Any, gateway: Gateway, sockets: Sockets, post: Post) -> None:
        self._reactor = reactor
        self._gateway = gateway
        self._sockets = sockets
        self._post = post
        self._link = Link(reactor, socket.socket(fileno=LINK_FD), self._heard, self._left_alone)
        board = Board(BOARD_FD, post.region)
        self._peers = Peers(reactor, gateway, board, SNAPSHOTS_FD, post.region, lambda words: self._tell(words))
        self._asking = Asking(
            reactor, post.region, lambda: len(board.peers()), self._tell, lambda what, about: self._know(what, about)
        )
        self._beat = LoopingCall(self.beat)
        self._beat.clock = reactor
        for descriptor in (BOARD_FD, SNAPSHOTS_FD):
            os.set_inheritable(descriptor, False)

    def begin(self) -> None:
        """Once the reactor runs, say that it serves.  At a SIGTERM the supervisor is asked for another in its place."""
        self._gateway.joins(self._peers, self._asking, self._post.index)
        self._gateway.reloaded_for_api = lambda: self._tell({"reload": True})
        self._gateway.added.tell = lambda change: self._tell({"registry": change})
        self._reactor.callWhenRunning(self._ready)
        self._reactor.addSystemEventTrigger("before", "shutdown", self._end)

    def beat(self) -> None:
        """It lives."""
        self._link.send({"alive": self._gateway.load_now()})

    def _end(self) -> None:
        """It is over: what was counted is there for whoever comes after us."""
        self._peers.show()
        self._beat.stop()
        self._link.close()

    def _ready(self) -> None:
        for number in _SUPERVISORS:
            signal.signal(number, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, lambda *_: self._reactor.callFromThread(self._link.send, {"replace": True}))
        self._sockets.drop_spares()
        self._peers.start()
        self._link.send({"ready": True})
        log_failure_of(self._beat.start(BEAT_S), "telling the supervisor")

    def _heard(self, words: Words) -> None:
        for word, said in words.items():
            self._answers[word](self, said)

    def _told(self, words: Words) -> None:
        if "verdict" in words:
            key, *said = words["verdict"]
            self._peers.told_verdict(key, tuple(said))
        if "registry" in words:
            self._gateway.added.told(words["registry"])
        if "ask" in words:
            self._asking.asked(words["ask"])
        if "answer" in words:
            self._asking.answered(words["answer"])
        if "reload" in words:
            self._gateway.reload()

    def _know(self, what: str, about: Any) -> Any:
        return answer_elsewhere(self._gateway, what, about)

    def _joined(self, region: int) -> None:
        self._peers.tell_all()
        for change in self._gateway.added.everything():
            self._tell({"registry": change})

    def _absorb(self, region: int) -> None:
        self._peers.absorb(region)
        self._link.send({"absorbed": region})

    def _reload(self, _: object) -> None:
        self._link.send({"reloaded": self._gateway.reload()})

    def _retire(self, _: object) -> None:
        self._gateway.hand_over()

    def _tell(self, words: Words) -> None:
        self._link.send({"tell": words})

    def _left_alone(self) -> None:
        """The supervisor is gone, and with it whoever would replace us."""
        _log.error("the supervisor is gone: draining")
        self._gateway.drain_and_stop()

    _answers: Final[dict[str, Callable[[Worker, Any], None]]] = {
        "told": _told,
        "joined": _joined,
        "left": lambda self, _: self._peers.one_is_gone(),
        "absorb": _absorb,
        "reload": _reload,
        "retire": _retire,
        "stop": lambda self, _: self._gateway.drain_and_stop(),
    }
