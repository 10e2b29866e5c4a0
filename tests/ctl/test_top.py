"""top, on a screen and a keyboard of the test's own."""

from __future__ import annotations

import io
from typing import Any

import orjson
from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.ctl import top
from aibrix_twisted.ctl.desk import Pace
from aibrix_twisted.ctl.failures import Unreachable
from aibrix_twisted.ctl.main import run
from tests.ctl.script import Script
from tests.ctl.test_board import look

LOOK = [look().stats, look().fleet, look().errors]


class Screen(io.StringIO):
    """A terminal."""

    def isatty(self) -> bool:
        return True


class Keyboard:
    """Types one of these at each wait.

    @ivar waits: for how long was waited.
    """

    def __init__(self, *typed: str) -> None:
        self._typed = list(typed)
        self.waits: list[float] = []

    def __call__(self, stream: Any) -> Keyboard:
        return self

    def __enter__(self) -> Keyboard:
        return self

    def __exit__(self, *exc: object) -> None:
        """Nothing to put back."""

    def pressed(self, seconds: float) -> str:
        self.waits.append(seconds)
        return self._typed.pop(0)


class TopTests(SynchronousTestCase):
    """aibrixctl top."""

    def watch(self, script: Script, *typed: str, options: tuple[str, ...] = ()) -> tuple[int, str, Keyboard]:
        """On a terminal."""
        keyboard, out = Keyboard(*typed), Screen()
        self.patch(top, "Keys", keyboard)
        pace = Pace(lambda: 0.0, lambda seconds: None, lambda: 0.0)
        code = run(("top", *options), {"TERM": "xterm"}, out, io.StringIO(), pace, lambda options: script)
        return code, out.getvalue(), keyboard

    def test_until_q(self) -> None:
        """It looks again each half second; other keys do not matter."""
        script = Script(*LOOK, *LOOK)
        code, out, keyboard = self.watch(script, "x", "", "q")
        self.assertEqual((code, keyboard.waits), (0, [0.5, 0.5, 0.5]))
        self.assertEqual([path for _, path, _ in script.asked],
                         ["/api/stats", "/api/fleet", "/api/requests?state=past&error=any&limit=8"] * 2)  # fmt: skip
        self.assertIn("gpu1", out)

    def test_the_gateway_goes_away(self) -> None:
        """What was seen last stays, and it is said that it is old; when it is back, all is well."""
        script = Script(*LOOK, Unreachable("gone away"), *LOOK)
        code, out, _ = self.watch(script, "", "", "q")
        self.assertEqual(code, 0)
        self.assertIn("this is old: gone away", out)
        self.assertNotIn("gone away", out.rpartition("aibrix-gateway")[2])

    def test_there_is_none(self) -> None:
        """Exit code 3 at once."""
        code, _, keyboard = self.watch(Script(Unreachable("nobody")))
        self.assertEqual((code, keyboard.waits), (3, []))

    def test_where_nobody_looks(self) -> None:
        """One look, as a text or a document."""
        for options in ((), ("--once",)):
            done = Script(*LOOK).run("top", *options)
            self.assertEqual(done.code, 0)
            self.assertIn("connection refused", done.out)
            self.assertNotIn("\x1b", done.out)
        said = orjson.loads(Script(*LOOK).run("top", "--json").out)
        self.assertEqual(said, look()._asdict())

    def test_how_often(self) -> None:
        """As one likes, but not without a pause."""
        _, _, keyboard = self.watch(Script(*LOOK), "q", options=("--every", "0.2"))
        self.assertEqual(keyboard.waits, [0.2])
        for wrong in ("0", "x", "-1"):
            self.assertRaises(SystemExit, Script().run, "top", "--every", wrong)
