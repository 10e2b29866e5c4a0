"""Keys, on a terminal of the test's own."""

from __future__ import annotations

import io
import os
import termios

from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.ctl.keys import Keys


class KeysTests(SynchronousTestCase):
    """Keys."""

    def test_on_a_terminal(self) -> None:
        """A key comes at once; afterwards the terminal is as it was."""
        master, slave = os.openpty()
        self.addCleanup(os.close, master)
        with os.fdopen(slave, "r") as stream:
            before = termios.tcgetattr(slave)
            with Keys(stream) as keys:
                self.assertEqual(keys.pressed(0), "")
                os.write(master, b"q")
                self.assertEqual(keys.pressed(10), "q")
                self.assertFalse(termios.tcgetattr(slave)[3] & termios.ICANON)
            self.assertEqual(termios.tcgetattr(slave), before)

    def test_where_there_is_none(self) -> None:
        """Nothing is ever pressed."""
        with Keys(io.StringIO("q")) as keys:
            self.assertEqual(keys.pressed(0), "")
