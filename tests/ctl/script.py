"""A run of the command with a gateway, a clock and a screen of the test's own."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import orjson

from aibrix_twisted.ctl.client import Answer
from aibrix_twisted.ctl.desk import Pace
from aibrix_twisted.ctl.failures import CommandError
from aibrix_twisted.ctl.main import run


def replica(name: str = "gpu0", **facts: Any) -> dict[str, Any]:
    """A replica as the API shows it."""
    return {
        "name": name,
        "url": f"http://{name}:8000",
        "engine": "vllm",
        "models": ["m"],
        "state": "up",
        "reason": "",
        "since_s": 12.3,
        "source": "static",
        "in_flight": 0,
        "leased": 12,
        "weight": 1.0,
        "max_in_flight": 0,
        "labels": {},
        "breaker": "closed",
        "expires_in_s": None,
        "load": None,
        "last_error": None,
        **facts,
    }


class Script:
    """Answers, each for one question, in order.

    @ivar asked: the questions: method, path, body.
    @ivar now: the clock; who pauses moves it.
    """

    def __init__(self, *answers: dict[str, Any] | BaseException) -> None:
        self._answers = list(answers)
        self.asked: list[tuple[str, str, Mapping[str, Any] | None]] = []
        self.now = 0.0
        self.wall = 1700000000.0

    def ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Answer:
        """The next answer."""
        self.asked.append((method, path, body))
        answer = self._answers.pop(0)
        if isinstance(answer, BaseException):
            raise answer
        return Answer(200, orjson.dumps(answer).decode(), answer)

    def run(self, *arguments: str, environment: Mapping[str, str] | None = None) -> Ran:
        """The command, as main runs it."""
        out, err = io.StringIO(), io.StringIO()
        pace = Pace(lambda: self.now, self._pause, lambda: self.wall)
        code = run(arguments, environment or {}, out, err, pace, lambda options: self)
        return Ran(code, out.getvalue(), err.getvalue())

    def _pause(self, seconds: float) -> None:
        self.now += seconds


class Ran:
    """What came of it."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code = code
        self.out = out
        self.err = err

    @property
    def rows(self) -> list[list[str]]:
        """The table, each cell by itself: columns are two spaces apart."""
        return [[cell.strip() for cell in line.split("  ") if cell.strip()] for line in self.out.splitlines()]


def ran(answer: dict[str, Any] | CommandError, *arguments: str) -> Ran:
    """A command that asks one question."""
    return Script(answer).run(*arguments)
