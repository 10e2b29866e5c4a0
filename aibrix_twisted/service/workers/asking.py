"""Questions that a worker puts to all others, because the one who knows may be any of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import orjson
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from aibrix_twisted.service.process.link import MAX_BYTES

#: Who has not answered by then is busy, or gone.
PATIENCE_S: Final = 1.0

#: For what is said around a document.
_MARGIN: Final = 1000

Tell = Callable[[dict[str, Any]], None]


class Asking:
    """Of one worker."""

    def __init__(
        self,
        clock: IReactorTime,
        region: int,
        others: Callable[[], int],
        tell: Tell,
        answer: Callable[[str, Any], Any],
    ) -> None:
        """
        @param region: tells workers apart.
        @param others: how many there are.
        @param tell: says something to every one of them.
        @param answer: what this worker knows of what it is asked; C{None}: nothing.
        """
        self._clock = clock
        self._region = region
        self._others = others
        self._tell = tell
        self._answer = answer
        self._asked = 0
        self._waiting: dict[int, tuple[Deferred[list[Any]], list[Any], int]] = {}

    def ask(self, what: str, about: Any) -> Deferred[list[Any]]:
        """Ask.

        @return: the answers of those who know something.
        """
        done: Deferred[list[Any]] = Deferred()
        others = self._others()
        if not others:
            done.callback([])
            return done
        self._asked += 1
        number = self._asked
        self._waiting[number] = done, [], others
        late = self._clock.callLater(PATIENCE_S, self._over, number)
        _ = done.addBoth(_cancelled, late)
        self._tell({"ask": [self._region, number, what, about]})
        return done

    def asked(self, question: list[Any]) -> None:
        """Another worker asks."""
        region, number, what, about = question
        self._tell({"answer": [region, number, _short(self._answer(what, about))]})

    def answered(self, answer: list[Any]) -> None:
        """Another worker answers, perhaps to somebody else."""
        region, number, document = answer
        if region != self._region or number not in self._waiting:
            return
        done, found, missing = self._waiting[number]
        if document is not None:
            found.append(document)
        if missing > 1:
            self._waiting[number] = done, found, missing - 1
        else:
            self._over(number)

    def _over(self, number: int) -> None:
        done, found, _ = self._waiting.pop(number)
        done.callback(found)


def _cancelled(found: list[Any], late: Any) -> list[Any]:
    if late.active():
        late.cancel()
    return found


def _short(document: Any) -> Any:
    """As much of it as a message may have: of a list of requests the newest."""
    while document is not None and len(orjson.dumps(document)) > MAX_BYTES - _MARGIN:
        if not document.get("requests"):
            return None
        document = {**document, "requests": document["requests"][: len(document["requests"]) // 2]}
    return document
