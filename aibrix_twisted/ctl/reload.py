"""C{aibrixctl reload}: the gateway reads its configuration again."""

from __future__ import annotations

from aibrix_twisted.ctl.desk import Desk


def reload(desk: Desk) -> None:
    """Have it read now.  The answer says whether it was taken, which a signal does not.

    @raise Refused: the file cannot be used, and nothing was changed; every problem is in the notes.
    """
    answer = desk.ask("POST", "/api/reload")
    desk.screen.answer(answer.text, f"reloaded; replicas: {answer.document.get('replicas', '?')}")
