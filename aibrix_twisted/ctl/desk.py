"""What a command has at hand."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from aibrix_twisted.ctl.client import Answer
from aibrix_twisted.ctl.screen import Screen


class Api(Protocol):
    """The admin API."""

    def ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Answer:
        """As L{aibrix_twisted.ctl.client.Client.ask}."""
        ...


@dataclass(frozen=True, slots=True)
class Pace:
    """A clock, and a way to let it go on.

    @ivar now: seconds, from whenever.
    @ivar pause: for so many seconds.
    @ivar wall: seconds since 1970.
    """

    now: Callable[[], float]
    pause: Callable[[float], None]
    wall: Callable[[], float]


@dataclass(frozen=True, slots=True)
class Desk:
    """One run of the command.

    @ivar options: as they were parsed.
    @ivar reach: makes the API's client; called by those commands that need a gateway.
    """

    options: Namespace
    screen: Screen
    pace: Pace
    reach: Callable[[Namespace], Api]

    def ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Answer:
        """Ask the gateway.

        @raise Misused: the options do not say rightly where it is.
        @raise Refused: it said no.
        @raise Unreachable: it did not answer.
        """
        return self.reach(self.options).ask(method, path, body)
