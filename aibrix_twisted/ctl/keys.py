"""Keys as they are pressed, without a line end after them."""

from __future__ import annotations

import os
import select
import termios
import tty
from typing import Any, TextIO


class Keys:
    """The terminal that the operator types at; in it keys come at once, and are not shown.  A context manager."""

    def __init__(self, stream: TextIO) -> None:
        """@param stream: the standard input.  Where it is no terminal, no key is ever pressed."""
        self._fd = stream.fileno() if stream.isatty() else None
        self._before: list[Any] = []

    def __enter__(self) -> Keys:
        if self._fd is not None:
            self._before = termios.tcgetattr(self._fd)
            tty.setcbreak(self._fd)
        return self

    def __exit__(self, *exc: object) -> None:
        if self._fd is not None:
            termios.tcsetattr(self._fd, termios.TCSADRAIN, self._before)

    def pressed(self, seconds: float) -> str:
        """Wait for so long.

        @return: what was typed meanwhile; C{""}: nothing.
        """
        waited_for = [] if self._fd is None else [self._fd]
        ready, _, _ = select.select(waited_for, [], [], max(0.0, seconds))
        if not ready or self._fd is None:
            return ""
        typed = os.read(self._fd, 64)
        if not typed:  # the terminal is gone
            raise KeyboardInterrupt
        return typed.decode("utf-8", "replace")
