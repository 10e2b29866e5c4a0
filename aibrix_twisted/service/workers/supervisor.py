"""Several workers behind one address: started, watched, replaced.  It serves nobody itself.

It opens the listening sockets, one for each worker (SO_REUSEPORT: the system deals connections out evenly), and holds
them: what waits in the socket of a worker that dies waits for its successor.  What workers have to tell each other it
passes on without reading it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from aibrix_twisted.service.owned import log_failure_of
from aibrix_twisted.service.process.herald import Herald
from aibrix_twisted.service.process.link import Words
from aibrix_twisted.service.process.signals import handle_signals
from aibrix_twisted.service.workers.board import REGIONS, Board, board_bytes
from aibrix_twisted.service.workers.child import Child
from aibrix_twisted.service.workers.sharing import SharedSockets
from aibrix_twisted.service.workers.snapshots import STRETCH_BYTES, clear_snapshot, unnamed_file

_log = Logger()

LOOK_S: Final = 0.5

#: A worker whose reactor has not turned for so long is ended.
HANGS_S: Final = 10.0

#: One that has not ended by SIGABRT after so long is killed.
ABORTS_S: Final = 3.0

#: One that is not ready after so long is ended.
STARTS_S: Final = 60.0

#: One that was ready for so long is replaced at once when it dies; else after a while, which doubles.
SETTLED_S: Final = 5.0
FIRST_DELAY_S: Final = 0.1
LAST_DELAY_S: Final = 10.0


class Supervisor(Service):
    """Of so many workers."""

    def __init__(self, reactor: Any, workers: int, sockets: SharedSockets, environ: Mapping[str, str]) -> None:
        self._reactor = reactor
        self._workers = workers
        self._sockets = sockets
        self._environ = environ
        self._board_file = unnamed_file(board_bytes())
        self._snapshots = unnamed_file(REGIONS * STRETCH_BYTES)
        self._board = Board(self._board_file)
        self._children: list[Child] = []
        self._delays = [FIRST_DELAY_S] * workers
        self._stopping = self._said_ready = False
        self._rolling: list[int] = []
        self._new: Child | None = None
        self._reloading: list[Child] = []
        self._notes: list[str] = []
        self._left: dict[int, list[int]] = {index: [] for index in range(workers)}
        self._herald: Herald | None = None
        self._look = LoopingCall(self.look)
        self._look.clock = reactor
        self._looked = reactor.seconds()

    # -- the process -----------------------------------------------------------------------------------------

    def begin(self, herald: Herald) -> None:
        """Once the reactor runs, listen to signals and start the workers."""
        self._herald = herald
        handle_signals(self._reactor, stop=self.stop, reload=self.reload, hand_over=self.roll)
        self._reactor.callWhenRunning(self._start_all)

    def status(self) -> str:
        """What they do together, in one line."""
        serving = [child for child in self._children if child.ready and not child.retiring]
        in_flight = sum(child.status[0] for child in self._children)
        up = max((child.status[1] for child in serving), default=0)
        replicas = max((child.status[2] for child in serving), default=0)
        doing = "draining" if self._stopping else f"serving with {len(serving)} of {self._workers} workers"
        return f"{doing}: {in_flight} in flight, {up} of {replicas} replicas up"

    def _start_all(self) -> None:
        _log.info("starting {count} workers", count=self._workers)
        self._looked = self._reactor.seconds()
        for index in range(self._workers):
            self._start(index)
        log_failure_of(self._look.start(LOOK_S, now=False), "watching the workers")

    def _start(self, index: int, before: Child | None = None) -> Child | None:
        if self._stopping:
            return None
        region = self._board.take()
        if region is None:
            self._failed_to_roll("too many workers are finishing what they have")
            if before is None:  # nobody serves in its place
                self._reactor.callLater(LAST_DELAY_S, self._start, index)
            return None
        clear_snapshot(self._snapshots, region)
        child = Child(self, index, region, self._reactor.seconds(), before)
        self._children.append(child)
        sockets = self._sockets.of(index)
        try:
            child.start(self._reactor, self._environ, self._workers, sockets, self._board_file, self._snapshots)
        except OSError as error:
            self.ended(child, str(error))
        return child

    # -- from workers ----------------------------------------------------------------------------------------

    def heard(self, child: Child, words: Words) -> None:
        """A worker said something."""
        child.alive_at = self._reactor.seconds()
        if "alive" in words:
            child.status = tuple(words["alive"])
        if "tell" in words:
            self._tell_others(child, {"told": words["tell"]})
        if "reloaded" in words:
            self._has_reloaded(child, str(words["reloaded"]))
        if "absorbed" in words:
            self._free(int(words["absorbed"]))
        if words.get("replace"):
            self._replace_alone(child)
        if words.get("ready") and not child.ready:
            self._is_ready(child)

    def ended(self, child: Child, how: str) -> None:
        """A worker is over."""
        self._children.remove(child)
        self._board.clear(child.region)
        self._tell_others(child, {"left": child.region})
        self._leave(child)
        self._has_reloaded(child, "")
        if self._stopping:
            self._stop_if_alone()
        elif child.retiring:
            _log.info("worker {index}: {pid} has finished what it had", index=child.index, pid=child.pid)
        elif child.before is not None and not child.ready:
            self._failed_to_roll(f"worker {child.index}: the new process ended with {how} before it was ready")
        else:
            _log.error("worker {index}: {pid} ended with {how}", index=child.index, pid=child.pid, how=how)
            self._mourn(child, how)

    def _is_ready(self, child: Child) -> None:
        child.ready = True
        _log.info("worker {index} is ready: {pid}", index=child.index, pid=child.pid)
        before, child.before = child.before, None
        if before is not None:
            before.retiring = True
            before.send({"retire": True})
        for region in self._left[child.index]:
            child.send({"absorb": region})
        self._tell_others(child, {"joined": child.region})
        if child is self._new:
            self._new = None
            self._roll_on()
        serving = sum(each.ready and not each.retiring for each in self._children)
        if serving == self._workers and not self._said_ready and self._herald is not None:
            self._said_ready = True
            self._sockets.keep()
            self._herald.ready()

    def _mourn(self, child: Child, how: str) -> None:
        """It did not want to end.  Whoever was to take over from it does so at once."""
        if child is self._new:
            self._failed_to_roll(f"worker {child.index}: the new process ended with {how} before it was ready")
        heir = next((other for other in self._children if other.before is child), None)
        if heir is None:
            self._replace(child)
        else:
            heir.before = None

    def _replace(self, child: Child) -> None:
        """Another one takes its sockets: at once, unless they die young."""
        index = child.index
        if child.ready and self._reactor.seconds() - child.started_at >= SETTLED_S:
            self._delays[index] = FIRST_DELAY_S
            self._start(index)
            return
        delay = self._delays[index]
        self._delays[index] = min(2 * delay, LAST_DELAY_S)
        self._reactor.callLater(delay, self._start, index)

    def _replace_alone(self, child: Child) -> None:
        """Somebody wants it to end."""
        if child.ready and not child.retiring and all(other.before is not child for other in self._children):
            _log.info("replacing worker {index}: {pid}", index=child.index, pid=child.pid)
            self._start(child.index, child)

    def _tell_others(self, child: Child, words: Words) -> None:
        for other in self._children:
            if other is not child:
                other.send(words)

    def look(self) -> None:
        """Who hangs, and who never begins?"""
        now = self._reactor.seconds()
        late, self._looked = now - self._looked - LOOK_S, now
        for child in tuple(self._children):
            if late > LOOK_S:  # we were kept from looking, and they, it may be, from speaking
                child.alive_at += late
            patience = HANGS_S if child.ready else STARTS_S
            if now - child.alive_at > patience:
                _log.error(
                    "worker {index}: {pid} has said nothing for {s:g} s", index=child.index, pid=child.pid, s=patience
                )
                child.alive_at = now - patience + ABORTS_S
                child.end()

    # -- what they leave behind ------------------------------------------------------------------------------

    def _leave(self, child: Child) -> None:
        """What it has counted is added by whoever has its index now."""
        self._left[child.index].append(child.region)
        for other in self._children:
            if other.index == child.index and other.ready and not other.retiring:
                other.send({"absorb": child.region})

    def _free(self, region: int) -> None:
        for left in self._left.values():
            if region in left:
                left.remove(region)
                clear_snapshot(self._snapshots, region)
                self._board.give_back(region)

    # -- signals ---------------------------------------------------------------------------------------------

    def reload(self) -> None:
        """SIGHUP: each reads its settings, one after the other."""
        if self._herald is not None:
            self._herald.reloading()
        self._notes = []
        self._reloading = [child for child in self._children if child.ready and not child.retiring]
        self._reload_next()

    def _reload_next(self) -> None:
        if self._reloading:
            self._reloading[0].send({"reload": True})
        elif self._herald is not None:
            self._herald.reloaded(self._notes[0] if self._notes else "")

    def _has_reloaded(self, child: Child, note: str) -> None:
        if note:
            self._notes.append(note)
        if child in self._reloading:
            first = child is self._reloading[0]
            self._reloading.remove(child)
            if first:
                self._reload_next()

    def roll(self) -> None:
        """SIGUSR2: a new process in the place of each worker, one after the other."""
        if self._stopping or self._rolling:
            _log.warn("the workers are not replaced: {why}", why="it stops" if self._stopping else "they are already")
            return
        _log.info("replacing the workers, one after the other")
        self._rolling = list(range(self._workers))
        self._roll_next()

    def _roll_next(self) -> None:
        index = self._rolling[0]
        serving = (child for child in self._children if child.index == index and child.ready and not child.retiring)
        before = next(serving, None)
        if before is None:
            self._roll_on()  # one that is being started is a new one anyway
        else:
            self._new = self._start(index, before)

    def _roll_on(self) -> None:
        if self._rolling:
            self._rolling.pop(0)
        if self._rolling:
            self._roll_next()
        elif self._herald is not None:
            _log.info("the workers have been replaced")
            self._herald.note("")

    def _failed_to_roll(self, why: str) -> None:
        self._rolling, self._new = [], None
        _log.error("the workers are not replaced any further: {why}; those there are serve on", why=why)
        if self._herald is not None:
            self._herald.note(f"not replaced: {why}")

    def stop(self) -> None:
        """SIGTERM: they drain; asked a second time, they do not."""
        self._stopping = True
        self._rolling = []
        self._sockets.close()  # else who connects would wait for nobody; the manager has its own
        if self._herald is not None:
            self._herald.stopping()
        for child in self._children:
            child.send({"stop": True})
        self._stop_if_alone()

    def _stop_if_alone(self) -> None:
        if not self._children and self._reactor.running:
            self._reactor.stop()

    def stopService(self) -> Deferred[None] | None:
        """Let go of the sockets.  Workers whose supervisor is gone drain by themselves."""
        if self._look.running:
            self._look.stop()
        self._sockets.close()
        return None
