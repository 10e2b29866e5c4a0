"""Who says which replicas there are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from aibrix_twisted.domain.settings import ReplicaSettings

#: A whole list, each time; it takes the place of what the source said before.
Publish = Callable[[tuple[ReplicaSettings, ...]], None]


class ReplicaSource(Protocol):
    """A provider of replicas.

    It keeps to its last good list while it cannot make a new one, and says in C{problem} why.

    @ivar name: for people: C{file /etc/replicas.toml}.
    @ivar problem: what is wrong; C{""} where nothing is.
    """

    @property
    def name(self) -> str:
        """For people."""
        ...

    @property
    def problem(self) -> str:
        """What is wrong, for people."""
        ...

    def start(self) -> None:
        """Begin to say."""
        ...

    def stop(self) -> None:
        """Say no more."""
        ...
