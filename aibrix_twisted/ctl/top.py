"""C{aibrixctl top}: the gateway at work, as it is now, until a key is pressed."""

from __future__ import annotations

import sys
from typing import Final

import orjson
from rich.live import Live

from aibrix_twisted.ctl.board import ERRORS_SHOWN, Look, board
from aibrix_twisted.ctl.desk import Desk
from aibrix_twisted.ctl.failures import Refused, Unreachable
from aibrix_twisted.ctl.keys import Keys
from aibrix_twisted.ctl.screen import plain

#: Keys that end it: Escape alone, and Ctrl-D, too.
_QUITS: Final = frozenset({"q", "Q", "\x1b", "\x04"})

#: Of one look that goes to a file or a pipe: as many columns and lines as it takes.
_LINES: Final = 1000


def top(desk: Desk) -> None:
    """Show it again and again; once, where the standard output is no terminal, or where a document is wanted.

    @raise Unreachable: at the first look.  Later it is shown, and looked again.
    """
    look = _look(desk)
    terminal = desk.screen.terminal()
    if desk.options.once or terminal is None:
        text = orjson.dumps(look._asdict()).decode()
        desk.screen.answer(text, board(look, _LINES, _LINES))
        return
    with Keys(sys.stdin) as keys, Live(console=terminal, screen=True, auto_refresh=False) as live:
        trouble, looked = "", desk.pace.now()
        while True:
            live.update(board(look, terminal.width, terminal.height, trouble), refresh=True)
            if _QUITS & set(_typed(keys, desk, looked + desk.options.every)):
                return
            looked = desk.pace.now()
            try:
                look, trouble = _look(desk), ""
            except (Refused, Unreachable) as error:
                trouble = plain(f"this is old: {error}").plain


def _typed(keys: Keys, desk: Desk, until: float) -> str:
    """What is typed until it is time for another look; other keys than those that end it do not bring it nearer."""
    while True:
        typed = keys.pressed(until - desk.pace.now())
        if not typed or _QUITS & set(typed):
            return typed


def _look(desk: Desk) -> Look:
    ask = desk.reach(desk.options).ask
    return Look(
        stats=ask("GET", "/api/stats").document,
        fleet=ask("GET", "/api/fleet").document,
        errors=ask("GET", f"/api/requests?state=past&error=any&limit={ERRORS_SHOWN}").document,
    )
