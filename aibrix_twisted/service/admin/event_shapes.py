"""The documents of C{/api/events}: what is said of them in L{shapes} holds for these, too."""

from __future__ import annotations

from typing import Any, Final, Literal

from typing_extensions import TypedDict

from aibrix_twisted.service.admin.shapes import ReplicaState, Request, Timestamp


class Hello(TypedDict):
    """The first event: how things are where the others begin.

    @ivar ended: exchanges that are over, since the start.
    """

    version: str
    now: Timestamp
    draining: bool
    under_way: int
    ended: int
    replicas: list[ReplicaNow]


class More(TypedDict):
    """What is not listed, for there was too much."""

    begun: int
    over: int


class Batch(TypedDict):
    """Exchanges that began and that ended since the last batch; some are in both.

    @ivar begun: as they are now.
    @ivar more: how many were left out of either list.
    """

    now: Timestamp
    under_way: int
    ended: int
    begun: list[Request]
    over: list[Request]
    more: More


class ReplicaNow(TypedDict):
    """A replica's state."""

    name: str
    state: ReplicaState
    reason: str


class ReplicaChange(TypedDict):
    """A replica came, left, or changed its state.

    @ivar state: null: it is gone.
    @ivar was: null: it is new.
    """

    now: Timestamp
    name: str
    state: ReplicaState | None
    reason: str
    was: ReplicaState | None


class ReloadDone(TypedDict):
    """The configuration was read again."""

    now: Timestamp
    outcome: Literal["taken", "refused"]


class DrainBegun(TypedDict):
    """The gateway takes no new work; it ends when nothing is under way."""

    now: Timestamp
    under_way: int


class Skipped(TypedDict):
    """To a reader that did not keep up: so many events were not sent to it."""

    events: int


#: The C{data} of an event on C{/api/events}, by its name.
EVENTS: Final[dict[str, Any]] = {
    "hello": Hello,
    "requests": Batch,
    "replica": ReplicaChange,
    "reload": ReloadDone,
    "drain": DrainBegun,
    "skipped": Skipped,
}
