"""Replicas that are added while the gateway runs: by an operator, or by engines that register themselves for a while.

What an operator added stays until it is removed, over a restart too where a state file is set.  What registered
itself with a time to live is gone when that has passed without a renewal.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import orjson
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from aibrix_twisted.domain.settings import ReplicaSettings
from aibrix_twisted.service.config.load import ConfigError
from aibrix_twisted.service.config.replicas import replicas_of
from aibrix_twisted.service.owned import log_failure_of

_log = Logger()

#: The two sources that it is: by an operator, and by engines themselves.
ADMIN: Final = "admin"
REGISTERED: Final = "registered"

TICK_S: Final = 0.5

#: C{(source, replicas)}
Says = Callable[[str, tuple[ReplicaSettings, ...]], None]


class Registry:
    """Both sources, for they share the names."""

    def __init__(self, reactor: Any, says: Says) -> None:
        self._reactor = reactor
        self._says = says
        self._state_file = ""
        self._added: dict[str, ReplicaSettings] = {}
        self._registered: dict[str, tuple[ReplicaSettings, float]] = {}
        self._call = LoopingCall(self._expire)
        self._call.clock = reactor
        self.problem = ""

    def configure(self, state_file: str) -> None:
        """Take this state file; what is in it is added, where there was none before."""
        if state_file and state_file != self._state_file:
            self._read(state_file)
        self._state_file = state_file

    def start(self) -> None:
        """Begin to count time."""
        log_failure_of(self._call.start(TICK_S, now=False), "letting registrations expire")

    def stop(self) -> None:
        """Stop."""
        if self._call.running:
            self._call.stop()

    def add(self, replica: ReplicaSettings) -> None:
        """An operator wants it, until he removes it."""
        self._registered.pop(replica.name, None)
        self._added[replica.name] = replica
        self._write()
        self._say()

    def register(self, replica: ReplicaSettings, ttl_s: float) -> None:
        """An engine says that it is there, and will say so again within this time."""
        self._registered[replica.name] = (replica, self._reactor.seconds() + ttl_s)
        if self._added.pop(replica.name, None) is not None:
            self._write()
        self._say()

    def known(self, name: str) -> ReplicaSettings | None:
        """What was said of it last."""
        registered = self._registered.get(name)
        return registered[0] if registered is not None else self._added.get(name)

    def expires_in_s(self, name: str) -> float | None:
        """How long its registration lasts; C{None} where it has none."""
        registered = self._registered.get(name)
        return None if registered is None else registered[1] - self._reactor.seconds()

    def remove(self, name: str) -> bool:
        """Take it out.

        @return: whether it was there.
        """
        registered = self._registered.pop(name, None)
        added = self._added.pop(name, None)
        if added is not None:
            self._write()
        if registered is None and added is None:
            return False
        self._say()
        return True

    def _expire(self) -> None:
        now = self._reactor.seconds()
        late = [name for name, (_, until) in self._registered.items() if until <= now]
        for name in late:
            del self._registered[name]
            _log.warn("replica {name} has not renewed its registration: it is taken out", name=name)
        if late:
            self._say()

    def _say(self) -> None:
        self._says(ADMIN, tuple(self._added.values()))
        self._says(REGISTERED, tuple(replica for replica, _ in self._registered.values()))

    # -- over a restart --------------------------------------------------------------------------------------

    def _read(self, path: str) -> None:
        try:
            kept = replicas_of(orjson.loads(Path(path).read_bytes()), path)
        except FileNotFoundError:
            return  # nothing was added yet
        except (OSError, orjson.JSONDecodeError, ConfigError) as error:
            self.problem = f"state file {path}: {error}"
            _log.error("the replicas added before are not known: {problem}", problem=self.problem)
            return
        for replica in kept:
            self._added.setdefault(replica.name, replica)
        self._say()

    def _write(self) -> None:
        """Whole or not at all: to a file beside it, which then takes its place."""
        if not self._state_file:
            return
        path = Path(self._state_file)
        beside = path.with_name(f".{path.name}.new")
        try:
            with beside.open("wb") as file:
                file.write(orjson.dumps([table_of(replica) for replica in self._added.values()]))
                file.flush()
                os.fsync(file.fileno())
            beside.replace(path)
            self.problem = ""
        except OSError as error:
            self.problem = f"state file {path}: {error}"
            _log.error("what was added will be forgotten at the next start: {problem}", problem=self.problem)


def table_of(replica: ReplicaSettings) -> dict[str, Any]:
    """A replica as C{[[replica]]} has it: what is as it is by default is left out."""
    return {
        field.name: value
        for field in dataclasses.fields(replica)
        if (value := getattr(replica, field.name)) != _default_of(field)
    }


def _default_of(field: dataclasses.Field[Any]) -> Any:
    return field.default_factory() if field.default_factory is not dataclasses.MISSING else field.default
