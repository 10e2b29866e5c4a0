"""Replicas that are added while the gateway runs: by an operator, or by engines that register themselves for a while.

What an operator added stays until it is removed, over a restart too where a state file is set.  What registered
itself with a time to live is gone when that has passed without a renewal.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import orjson
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from aibrix_twisted.domain.settings import ReplicaSettings
from aibrix_twisted.service.config.load import ConfigError
from aibrix_twisted.service.config.replicas import replicas_of
from aibrix_twisted.service.owned import log_failure_of
from aibrix_twisted.service.whole_file import write_beside

_log = Logger()

#: The two sources that it is: by an operator, and by engines themselves.
ADMIN: Final = "admin"
REGISTERED: Final = "registered"

TICK_S: Final = 0.5

#: C{(source, replicas)}
Says = Callable[[str, tuple[ReplicaSettings, ...]], None]


class Registry:
    """Both sources, for they share the names.

    @ivar tell: hears of each change that is made here.
    @ivar problem: what is wrong with the state file, for people; C{""} where nothing is.
    """

    def __init__(self, reactor: Any, says: Says) -> None:
        self._reactor = reactor
        self._says = says
        self._state_file = ""
        self._unread = False
        self._added: dict[str, ReplicaSettings] = {}
        self._registered: dict[str, tuple[ReplicaSettings, float]] = {}
        self._call = LoopingCall(self._expire)
        self._call.clock = reactor
        self.problem = ""
        self.tell: Callable[[list[Any]], None] = _nobody

    def configure(self, state_file: str) -> None:
        """Take this state file; what is in it is added, where there was none before.  One that could not be read is
        tried again."""
        if state_file == self._state_file and not self._unread:
            return
        self._state_file, self._unread, self.problem = state_file, False, ""
        if state_file:
            kept = self._read(state_file)
            for replica in kept:
                if replica.name not in self._registered:
                    self._added.setdefault(replica.name, replica)
            if not self._unread and tuple(self._added.values()) != kept:
                self._write()
            self._say()

    def start(self) -> None:
        """Begin to count time."""
        log_failure_of(self._call.start(TICK_S, now=False), "letting registrations expire")

    def stop(self) -> None:
        """Stop."""
        if self._call.running:
            self._call.stop()

    def add(self, replica: ReplicaSettings) -> None:
        """An operator wants it, until he removes it."""
        self.tell(["add", table_of(replica), 0.0])
        self._add(replica)

    def _add(self, replica: ReplicaSettings) -> None:
        self._registered.pop(replica.name, None)
        self._added[replica.name] = replica
        self._write()
        self._say()

    def register(self, replica: ReplicaSettings, ttl_s: float) -> None:
        """An engine says that it is there, and will say so again within this time."""
        self.tell(["register", table_of(replica), ttl_s])
        self._register(replica, ttl_s)

    def _register(self, replica: ReplicaSettings, ttl_s: float) -> None:
        self._registered[replica.name] = (replica, self._reactor.seconds() + ttl_s)
        if self._added.pop(replica.name, None) is not None:
            self._write()
        self._say(gains=REGISTERED)

    def known(self, name: str) -> ReplicaSettings | None:
        """What was said of it last."""
        registered = self._registered.get(name)
        return registered[0] if registered is not None else self._added.get(name)

    def expires_in_s(self, name: str) -> float | None:
        """How long its registration lasts; C{None} where it has none."""
        registered = self._registered.get(name)
        return None if registered is None else max(0.0, registered[1] - self._reactor.seconds())

    def remove(self, name: str) -> bool:
        """Take it out.

        @return: whether it was there.
        """
        self.tell(["remove", {"name": name}, 0.0])
        return self._remove(name)

    def told(self, change: list[Any]) -> None:
        """Another worker was told so.

        @param change: as it was told.
        """
        what, table, ttl_s = change
        if what == "remove":
            self._remove(table["name"])
            return
        (replica,) = replicas_of([table], "another worker")
        if what == "add":
            self._add(replica)
        else:
            self._register(replica, ttl_s)

    def everything(self) -> Iterator[list[Any]]:
        """All that is here, as changes to a registry that is empty."""
        now = self._reactor.seconds()
        for replica in self._added.values():
            yield ["add", table_of(replica), 0.0]
        for replica, until in self._registered.values():
            yield ["register", table_of(replica), until - now]

    def _remove(self, name: str) -> bool:
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

    def _say(self, gains: str = ADMIN) -> None:
        """Say both lists.

        @param gains: is said first, so that a replica which goes from one to the other is never on neither.
        """
        said = {ADMIN: list(self._added.values()), REGISTERED: [replica for replica, _ in self._registered.values()]}
        for source in (gains, *(said.keys() - {gains})):
            self._says(source, tuple(said[source]))

    # -- over a restart --------------------------------------------------------------------------------------

    def _read(self, path: str) -> tuple[ReplicaSettings, ...]:
        try:
            return replicas_of(orjson.loads(Path(path).read_bytes()), path)
        except FileNotFoundError:
            return ()  # nothing was added yet
        except (OSError, ValueError, ConfigError) as error:
            self._unread = True
            self.problem = f"state file {path}: {error}"
            _log.error("the replicas added before are not known: {problem}", problem=self.problem)
            return ()

    def _write(self) -> None:
        """Whole or not at all: to a file beside it, which then takes its place."""
        if not self._state_file:
            return
        path = Path(self._state_file)
        try:
            beside = write_beside(path, (orjson.dumps([table_of(replica) for replica in self._added.values()]),))
            self.problem = self._set_aside(path) if self._unread else ""
            beside.replace(path)
            self._unread = False
        except (OSError, ValueError) as error:
            self.problem = f"state file {path}: {error}"
            _log.error("what was added will be forgotten at the next start: {problem}", problem=self.problem)

    @staticmethod
    def _set_aside(path: Path) -> str:
        """Replicas that could not be read may be read by a person.

        @return: where they are now, for people; C{""} where there are none any more.
        """
        if not path.is_file():
            return ""  # a folder is left where it is
        aside = path.with_name(f"{path.name}.unread")
        path.replace(aside)
        _log.warn("what could not be read of {path} is now {aside}", path=str(path), aside=str(aside))
        return f"state file {path}: what could not be read of it is now {aside}"


def _nobody(change: list[Any]) -> None:
    """There are no other workers."""


def table_of(replica: ReplicaSettings) -> dict[str, Any]:
    """A replica as C{[[replica]]} has it: what is as it is by default is left out."""
    return {
        field.name: value
        for field in dataclasses.fields(replica)
        if (value := getattr(replica, field.name)) != _default_of(field)
    }


def _default_of(field: dataclasses.Field[Any]) -> Any:
    return field.default_factory() if field.default_factory is not dataclasses.MISSING else field.default
