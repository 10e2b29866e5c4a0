"""The sockets of all workers: held by the supervisor, one of its own for each worker where the system lets it."""

from __future__ import annotations

from collections.abc import Sequence

from twisted.internet.protocol import Factory

from aibrix_twisted.service.process.inherited import Inheritance, stored_name
from aibrix_twisted.service.process.notify import Notifier
from aibrix_twisted.service.process.sockets import Sockets


class SharedSockets:
    """Of so many workers.

    A Unix socket, the admin listener, and what systemd has opened, are one socket that all workers accept from.
    """

    def __init__(self, workers: int, inherited: Inheritance, notifier: Notifier) -> None:
        self._inherited = inherited
        self._notifier = notifier
        self._common = Sockets(None, _part(inherited, ""))
        self._own = [Sockets(None, _part(inherited, _mark(index)), shared=True) for index in range(workers)]

    def open(self, clients: Sequence[str], admin: Sequence[str]) -> None:
        """Listen on all of these.

        @raise ValueError: a setting cannot be had by several workers.
        @raise twisted.internet.error.CannotListenError: a port is taken, or not for us.
        """
        for description in clients:
            words = description.split(":")
            if words[0] == "unix":
                self._common.service(description, Factory()).privilegedStartService()
                continue
            if words[0] in ("tcp", "tcp6", "ssl") and words[1:2] in (["0"], ["port=0"]):
                raise ValueError(f"listen: found {description!r}, expected a port that all workers can share")
            for sockets in self._own:
                sockets.service(description, Factory()).privilegedStartService()
        for description in admin:
            self._common.service(description, Factory()).privilegedStartService()

    def of(self, index: int) -> list[tuple[str, int]]:
        """What a worker is given."""
        return self._own[index].to_hand_on() + [(key, held.fileno()) for key, held in self._common.opened.items()]

    def keep(self) -> None:
        """Have the service manager keep them for the supervisor after this one, and nothing else."""
        wanted = {key: held for key, held in self._common.opened.items()}
        for index, sockets in enumerate(self._own):
            wanted |= {key + _mark(index): held for key, held in sockets.opened.items()}
        for key in self._inherited.stored - wanted.keys():
            self._notifier.tell({"FDSTOREREMOVE": 1, "FDNAME": stored_name(key)})
        for key in wanted.keys() - self._inherited.stored:
            words: dict[str, str | int] = {"FDSTORE": 1, "FDNAME": stored_name(key), "FDPOLL": 0}
            self._notifier.tell(words, (wanted[key].fileno(),))
        for sockets in (self._common, *self._own):
            sockets.drop_spares()

    def close(self) -> None:
        """Hold them no more."""
        for sockets in (self._common, *self._own):
            sockets.close()


def _mark(index: int) -> str:
    return f"#{index}"


def _part(inherited: Inheritance, mark: str) -> Inheritance:
    """What is for one of them."""
    ours = {
        key.removesuffix(mark): descriptor
        for key, descriptor in inherited.ours.items()
        if (key.endswith(mark) if mark else "#" not in key)
    }
    return Inheritance(inherited.activated, ours, inherited.stored)
