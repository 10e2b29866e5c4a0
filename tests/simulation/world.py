"""A whole gateway, with engines and clients around it, from its start to the end of its process."""

from __future__ import annotations

import dataclasses
import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import orjson
from twisted.logger import LogLevel, formatEvent, globalLogPublisher

from aibrix_twisted.domain.replica import Replica
from aibrix_twisted.domain.settings import AccessLogSettings, Settings
from aibrix_twisted.service.admin.documents import Denied
from aibrix_twisted.service.config.load import ConfigError
from aibrix_twisted.service.exchange.exchanges import Exchanges
from aibrix_twisted.service.gateway import Gateway
from aibrix_twisted.service.health.scrape import Scraper
from tests.simulation.clients import Client
from tests.simulation.engines import Engine
from tests.simulation.network import Network
from tests.simulation.poller import Looks, Waiting
from tests.simulation.reactor import SimulatedReactor
from tests.simulation.scenario import Act, Scenario
from tests.simulation.served import Served

#: Nothing takes this long, in seconds of the simulation and in turns of the reactor.
PATIENCE_S = 400.0
PATIENCE_TURNS = 400_000

#: For idle connections to be given up.
QUIET_S = 5.5

#: Answers that are no streams are given whole, and are not longer than this, with their heads.
UNSTREAMED = 16384

#: What is said of a configuration that cannot be used is an error, and no defect.
_EXPECTED_ERRORS = ("not reloaded: {problem}",)


class OrderedSet(dict[Any, None]):
    """A set whose order is that of coming: one of objects is ordered by where they are in memory, otherwise."""

    def add(self, item: Any) -> None:
        self[item] = None

    def discard(self, item: Any) -> None:
        self.pop(item, None)

    def __sub__(self, other: Any) -> OrderedSet:
        return OrderedSet(dict.fromkeys(item for item in self if item not in other))

    def union(self, *others: Any) -> OrderedSet:
        return OrderedSet(dict.fromkeys((*self, *(item for other in others for item in other))))


class Disk:
    """Where files of answers are; it may become full."""

    pread, ftruncate = staticmethod(os.pread), staticmethod(os.ftruncate)

    def __init__(self, room: int | None) -> None:
        self._room = room

    def pwrite(self, fd: int, data: Any, at: int) -> int:
        """See L{os.pwrite}; what there is room for is written."""
        room = self._room
        if room is None:
            return os.pwrite(fd, data, at)
        if not room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written = os.pwrite(fd, data[:room], at)
        self._room = room - written
        return written


class Given:
    """In a configuration file's place."""

    def __init__(self, settings: Settings) -> None:
        self.next: Settings | None = settings

    def load(self) -> Settings:
        if self.next is None:
            raise ConfigError(["x: found 1, expected 2"])
        return self.next


class World:
    """One run.

    @ivar wrong: what must not be, found on the way.
    @ivar timeline: what happened, and when.
    @ivar replicas: all that there ever were.
    @ivar stopped: it was told to end amid everything; C{halted}: twice, so that it does not finish anything.
    """

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self.wrong: list[str] = []
        self.timeline: list[tuple[float, Any]] = []
        self.replicas: dict[Replica, None] = {}
        self.lines: list[dict[str, Any]] = []
        self.skew = 0.0
        self.stopped = self.halted = False
        self._ended = False
        self._set_by = 0.0
        seed = scenario.seed
        self.network = network = Network(Random(f"network {seed}"), scenario.temper)
        self.reactor = SimulatedReactor(network)
        self._lot = Random(f"world {seed}")
        self.engines = {
            name: Engine(network, name, (f"10.0.0.{index + 1}", 8000), habits, Random(f"{name} {seed}"), self.note)
            for index, (name, habits) in enumerate(scenario.habits.items())
        }
        names = self.reactor.resolver_in_memory.names
        for name, engine in self.engines.items():
            names[f"{name}.test"] = (engine.address[0],)
            engine.on_request = self._asked
        self.clients = [
            Client(network, f"c{index}", f"198.51.100.{index + 1}", calls, manner, self.note)
            for index, (calls, manner) in enumerate(scenario.clients)
        ]

    def note(self, what: Any) -> None:
        """For the timeline."""
        self.timeline.append((self.network.now, what))

    def run(self) -> None:
        """From start to end."""
        fd, path = tempfile.mkstemp(prefix="simulated-", suffix=".log")
        os.close(fd)
        globalLogPublisher.addObserver(self._logged)
        try:
            with self._patched():
                self._begin(path)
                self._live()
            with open(path, "rb") as file:
                self.lines = [orjson.loads(line) for line in file]
        finally:
            globalLogPublisher.removeObserver(self._logged)
            os.unlink(path)

    # -- its life --------------------------------------------------------------------------------------------

    def _begin(self, path: str) -> None:
        scenario, reactor = self.scenario, self.reactor
        self._log = AccessLogSettings(path=path)
        self._source = Given(self._with_log(scenario.settings))
        assert self._source.next is not None
        self.gateway = gateway = Gateway(reactor, self._source.next, self._source)  # type: ignore[arg-type]
        gateway.exchanges.rng.seed(f"gateway {scenario.seed}")  # type: ignore[attr-defined]
        gateway.exchanges.live = OrderedSet()  # type: ignore[assignment]
        gateway.exchanges.orphans = OrderedSet()  # type: ignore[assignment]
        gateway.pool._all = OrderedSet()  # type: ignore[assignment]
        if gateway.exchanges.hedges is not None:  # it knows how soon answers begin
            for size in (32, 100, 300, 1000) * 32:
                gateway.exchanges.hedges.began("m", size, 0.1)
        if scenario.slow_disk:
            reactor.threads.slow = lambda: self._lot.choice((0.0, 0.01, scenario.slow_disk))
        reactor.addSystemEventTrigger("before", "shutdown", gateway.stopService)
        reactor.startRunning(installSignalHandlers=False)
        gateway.privilegedStartService()
        gateway.startService()
        for act in scenario.acts:
            self.network.at(act.at, lambda act=act: self._do(act))  # type: ignore[misc]

    def _live(self) -> None:
        if not self._until(lambda: all(client.over for client in self.clients), "a client waits for ever"):
            return
        self.note("all clients are gone")
        last = max((act.at for act in self.scenario.acts), default=0.0)
        drained = lambda: all(line._served is None for engine in self.engines.values() for line in engine.lines)  # noqa: E731
        if not self._until(drained, "an engine works for ever"):
            return
        self._until(lambda: self.network.now >= last and not (self.network.frozen and self.reactor._started), "frozen")
        quiet_at = self.network.now + QUIET_S
        if not self._until(lambda: self.network.now >= quiet_at, "time stands still"):
            return
        if self.reactor._started and not self.stopped:
            self._check_quiet()
            self.note("the gateway is told to stop")
            self.reactor.callFromThread(self.gateway.drain_and_stop)
        self._until(lambda: self._ended, "the process does not end")

    def _until(self, done: Any, otherwise: str) -> bool:
        reactor, network = self.reactor, self.network
        until = network.now + PATIENCE_S
        for _ in range(PATIENCE_TURNS):
            if done():
                return True
            if not reactor._started:
                self._end()
                network.go_to(min(network.next_at, network.now + 1.0))
                continue
            reactor.runUntilCurrent()
            timeout = reactor.timeout()
            if reactor._started:
                reactor.doIteration(0 if reactor.threadCallQueue else timeout)
            if network.now > until:
                break
        self.wrong.append(f"{otherwise}, at {network.now:.1f} s")
        return False

    def _end(self) -> None:
        """The process is over; the world goes on."""
        if self._ended:
            return
        self._ended = True
        self.note("the process has ended")
        for _ in range(3):  # what was aborted with the last breath
            self.reactor.runUntilCurrent()
        if not self.halted:
            self._check_end()
        for end in tuple(self.network.open.values()):
            if end.gateway:
                end.close()

    # -- what is done to it ----------------------------------------------------------------------------------

    def _do(self, act: Act) -> None:
        self.note(f"{act.what} {act.whom} {'' if isinstance(act.more, Settings) else act.more or ''}".strip())
        match act.what:
            case "engine":
                self.engines[act.whom].turn(act.more, reset=self._lot.random() < 0.7)
            case "cut" | "stall":
                self._break(act.what)
            case "freeze":
                self.network.frozen += act.more
                self.skew += act.more
            case "jump":
                self.network.offset += act.more
                self.skew += act.more
            case "set clock":
                self._set_by += act.more
            case "terminate":
                self.halted, self.stopped = self.stopped and self.reactor._started, True
                self.reactor.callFromThread(self.gateway.drain_and_stop)
            case "reload" | "bad reload":
                self._source.next = self._with_log(act.more) if act.more is not None else None
                self.reactor.callFromThread(self.gateway.reload)
            case _:
                self.reactor.callFromThread(self._by_hand, act)

    def _break(self, how: str) -> None:
        """Something happens to a connection to an engine."""
        lines = [line for engine in self.engines.values() for line in engine.lines]
        if lines:
            end = self._lot.choice(lines)._end
            if how == "cut":
                end.cut()
            else:
                end.stall(self._lot.choice((0.5, 3.0, 20.0)))

    def _by_hand(self, act: Act) -> None:
        desk = self.gateway.desk
        try:
            match act.what:
                case "drain":
                    desk.drain(act.whom, on=act.more)
                case "eject":
                    desk.eject(act.whom, on=act.more)
                case "add":
                    desk.add({"name": act.whom, "url": act.more})
                case "register":
                    desk.put(act.whom, {"url": act.more}, 2.0)
                case "remove":
                    desk.remove(act.whom)
        except Denied as denied:
            self.note(f"denied: {denied}")

    def _with_log(self, settings: Settings) -> Settings:
        return dataclasses.replace(settings, access_log=self._log)

    def _wall(self) -> float:
        """Seconds since 1970, as whoever set the clock has it."""
        return 1.7e9 + self.network.now + self.network.offset + self._set_by

    # -- what is seen ----------------------------------------------------------------------------------------

    @contextmanager
    def _patched(self) -> Iterator[None]:
        """What cannot be handed in."""
        known = self.replicas
        fleet_is = Exchanges.fleet_is

        def remembered(exchanges: Exchanges, fleet: Any, catalogue: Any) -> None:
            known.update(dict.fromkeys(fleet.replicas))
            fleet_is(exchanges, fleet, catalogue)

        with (
            patch("aibrix_twisted.service.upstream.protocol.select", Looks(self.network)),
            patch("aibrix_twisted.service.downstream.unsent.ioctl", Waiting(self.network)),
            patch(
                "aibrix_twisted.service.gateway.time",
                SimpleNamespace(time=self._wall, time_ns=lambda: int(self._wall() * 1e9), thread_time=self._wall),
            ),
            patch("aibrix_twisted.domain.buffer_sizes.AHEAD", self.scenario.temper.buffer),
            patch("aibrix_twisted.domain.buffer_sizes.LEAST_AHEAD", self.scenario.temper.buffer),
            patch("aibrix_twisted.service.exchange.sizes.AHEAD", self.scenario.temper.buffer),
            patch("aibrix_twisted.service.downstream.flow.AHEAD", self.scenario.temper.buffer),
            patch("aibrix_twisted.service.wheel.set", OrderedSet, create=True),
            patch(
                "aibrix_twisted.service.process.strain.memory_groups", tuple
            ),  # what this machine grants is no seed's
            patch("aibrix_twisted.service.downstream.spool.os", Disk(self.scenario.full_disk)),
            patch.object(Exchanges, "fleet_is", remembered),
        ):
            yield

    def _logged(self, event: Any) -> None:
        level = event.get("log_level")
        if level is not None and level >= LogLevel.info and event.get("log_format"):
            self.note(event)
        if "log_failure" in event or (level is not None and level >= LogLevel.error):
            expected = event.get("log_format") in _EXPECTED_ERRORS or (self._set_by and event.get("kind") == "clock")
            if not expected:
                failure = event.get("log_failure")
                self.wrong.append(f"logged: {formatEvent(event)} {failure.getTraceback() if failure else ''}")

    def _asked(self, served: Served) -> None:
        """An engine has a request: it has no more of them than it may."""
        if any(act.what == "reload" for act in self.scenario.acts):
            return
        replica = next((one for one in self.gateway.fleet.replicas if one.name == served.engine), None)
        if replica is not None and 0 < replica.max_in_flight < replica.load.in_flight:
            self.wrong.append(f"{served.engine} has {replica.load.in_flight} requests, {served.id} is one too many")

    def _check_quiet(self) -> None:
        """Nobody is there, and nothing is under way."""
        gateway = self.gateway
        self._check_idle()
        busy = {kind: count for kind, count in gateway.upstreams.items() if count}
        if busy:
            self.wrong.append(f"connections to engines, with no client there: {busy}")
        ours = [
            call
            for call in self.reactor.getDelayedCalls()
            if (getattr(call.func, "__module__", None) or "").startswith("aibrix_twisted")
            and not isinstance(getattr(call.func, "__self__", None), Scraper)  # its next turn always comes
        ]
        if ours:
            self.wrong.append(f"timers, with nothing under way: {[str(call) for call in ours]}")

    def _check_end(self) -> None:
        """The process is over."""
        self._check_idle()
        if self.reactor.most_kept > UNSTREAMED:
            self.wrong.append(f"{self.reactor.most_kept} bytes too many were kept for a client")
        control = [
            one for one in self.reactor.left if type(getattr(one, "protocol", None)).__module__.startswith("twisted")
        ]
        left = [one for one in self.reactor.left if one not in control]
        if left:
            self.wrong.append(f"still read or written at the end: {left}")
        timers = self.reactor.getDelayedCalls()
        if timers:
            self.wrong.append(f"timers at the end: {[str(timer) for timer in timers]}")
        closing = {one.fileno() for one in control}  # questions of the control plane go with the process
        ours = [end for end in self.network.open.values() if end.gateway and end.fd not in closing]
        if ours:
            self.wrong.append(f"{len(ours)} sockets are open at the end, to {[end.getpeername() for end in ours]}")

    def _check_idle(self) -> None:
        gateway = self.gateway
        exchanges = gateway.exchanges
        found = {
            "exchanges under way": exchanges.under_way,
            "clients connected": len(exchanges.live),
            "addresses of clients": len(exchanges.by_address),
            "waiting": exchanges.waiting.room.count,
            "files": len(exchanges.spools.open),
            "bytes of files": exchanges.spools.bytes,
            "models waited for": len(list(exchanges.waiting.room.models)),
            "watched": sum(map(len, gateway.wheel._slots)) - 2,  # the pool and the waiting room
        }
        if not self.reactor._started:
            found["watched"] += 1  # the pool is gone
        for replica in self.replicas:
            found[f"in flight at {replica.name}"] = replica.load.in_flight
            for model, count in replica.load.by_model.items():
                found[f"in flight at {replica.name} for {model}"] = count
        self.wrong += [f"{name}: {count}, with nobody there" for name, count in found.items() if count]
