"""Replicas from a file that is watched.

Whoever writes it should write another file and rename it over this one: a list that is written in place can be read
while it is half there, and TOML that is cut between two tables is a whole, shorter list.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.failure import Failure

from aibrix_twisted.domain.settings import ReplicaSettings
from aibrix_twisted.service.config.replicas import ConfigError, read_replicas
from aibrix_twisted.service.discovery.source import Publish
from aibrix_twisted.service.owned import log_failure_of

_log = Logger()

#: How often it is looked at.
LOOK_INTERVAL_S: Final = 1.0

#: What tells that a file is another one, or has been written to: modification time (ns), size, inode.
Mark = tuple[int, int, int]

#: The file's mark, and what is in it, or C{None} where it did not need to be read.
Look = tuple[Mark | None, "tuple[ReplicaSettings, ...] | ConfigError | None"]


class FileSource:
    """Looks at the file each interval, and reads it when it has changed.

    A file that is missing or cannot be used is a problem and no empty list: what it said before stays.  All work on the
    file is done in a thread, one look at a time, so that a file system that hangs holds up nobody.

    @ivar name: for people.
    @ivar problem: why the list is not what the file says now; empty: it is.
    """

    def __init__(self, path: str, publish: Publish, reactor: Any, interval_s: float = LOOK_INTERVAL_S) -> None:
        """
        @param path: TOML or JSON, by its ending; as L{aibrix_twisted.service.config.replicas.read_replicas} has it.
        """
        self.name = f"file {path}"
        self.problem = ""
        self._path = path
        self._publish = publish
        self._reactor = reactor
        self._interval_s = interval_s
        self._mark: Mark | None = None
        self._settled = False
        self._published: tuple[ReplicaSettings, ...] | None = None
        self._looking: Deferred[Look] | None = None
        self._call = LoopingCall(self._tick)
        self._call.clock = reactor

    def start(self) -> None:
        """Look now, and again."""
        log_failure_of(self._call.start(self._interval_s, now=True), f"watching {self.name}")

    def stop(self) -> None:
        """Look no more.  What was published is not taken back."""
        if self._call.running:
            self._call.stop()
        looking, self._looking = self._looking, None
        if looking is not None:
            looking.cancel()

    def _tick(self) -> None:
        if self._looking is None:
            known = self._mark if self._settled else None
            pool = self._reactor.getThreadPool()
            self._looking = looking = deferToThreadPool(self._reactor, pool, look_at, self._path, known)
            log_failure_of(looking.addBoth(self._looked), f"reading {self.name}")

    def _looked(self, result: Look | Failure) -> None:
        if self._looking is None:  # our own cancel
            return
        self._looking = None
        if isinstance(result, Failure):
            self._settled = False
            self._say([f"{self._path}: {result.getErrorMessage()}"])
            return
        mark, found = result
        # A new file is read at two looks in a row: all writes within one tick of the file system's clock have one mark.
        # One that cannot be used is read at every look: what is wrong may be another file, such as a key's.
        self._settled = mark == self._mark and not isinstance(found, ConfigError)
        self._mark = mark
        if isinstance(found, ConfigError):
            self._say(found.problems)
        elif found is not None:
            self._say(())
            if found != self._published:
                self._published = found
                _log.info("{source} has {count} replicas", source=self.name, count=len(found))
                self._publish(found)

    def _say(self, problems: Sequence[str]) -> None:
        problem = "; ".join(problems)
        if problem != self.problem:
            self.problem = problem
            for line in problems:
                _log.error("not taken: {line}", line=line)
            if not problems:
                _log.info("{source} can be used again", source=self.name)


def look_at(path: str, known: Mark | None) -> Look:
    """Look at a file, and read it unless its mark is the known one.  Blocks: for a thread."""
    try:
        status = os.stat(path)
    except OSError as error:
        return None, ConfigError([f"{path}: cannot be read: {error.strerror}"])
    mark = (status.st_mtime_ns, status.st_size, status.st_ino)
    if mark == known:
        return mark, None
    try:
        return mark, read_replicas(path)
    except ConfigError as error:
        return mark, error
