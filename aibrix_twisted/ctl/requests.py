"""C{aibrixctl requests}: what is under way, or the last that is over."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import urlencode

from aibrix_twisted.ctl.desk import Desk
from aibrix_twisted.ctl.figures import count, took
from aibrix_twisted.ctl.screen import Cell, table

_HEAD: Final = ("ID", "STATE", "MODEL", "REPLICA", "TIME", "TTFT", "TOKENS", "TRIES", "STATUS", "WHY")

_FOLDED: Final = frozenset({"ID", "MODEL", "REPLICA", "WHY"})

#: As the table has it: two words are too wide for a column.
_STATES: Final = {"awaiting_first_token": "prefill"}

_STYLES: Final = {"streaming": "green", "waiting": "yellow", "connecting": "yellow", "complete": "green",
                 "abandoned": "yellow"}  # fmt: skip


def requests(desk: Desk) -> None:
    """Show them, the newest first."""
    options = desk.options
    asked = {
        "state": "past" if options.past or options.errors else "now",
        "model": options.model,
        "replica": options.replica,
        "error": "any" if options.errors else None,
        "min_seconds": None if options.slow is None else f"{options.slow:.12g}",
        "limit": options.limit,
    }
    query = urlencode({name: value for name, value in asked.items() if value is not None})
    answer = desk.ask("GET", f"/api/requests?{query}")
    listed = answer.document.get("requests", [])
    desk.screen.answer(answer.text, table(_HEAD, map(_row, listed), folded=_FOLDED))
    left = answer.document.get("matched", 0) - len(listed)
    if left > 0:
        desk.screen.remark(f"{left} more: --limit {len(listed) + left} lists them, too")


def _row(request: dict[str, Any]) -> list[Cell]:
    return [
        request["id"],
        state_of(request),
        request.get("model") or "-",
        request.get("replica") or "-",
        took(request.get("duration_s")),
        took(request.get("ttft_s")),
        tokens_of(request),
        count(request.get("attempts")),
        count(request.get("status")),
        request.get("reason") or "-",
    ]


def state_of(request: dict[str, Any]) -> tuple[str, str]:
    """Where it is, or how it ended."""
    state = request.get("state", "?")
    shown = (request.get("outcome") or "over") if state == "over" else _STATES.get(state, state)
    style = _STYLES.get(shown, "red" if state == "over" else "")
    return f"{shown}: {request['error']}" if request.get("error") else shown, style


def tokens_of(request: dict[str, Any]) -> str:
    """In and out, as far as they are known."""
    given, made = request.get("input_tokens"), request.get("output_tokens")
    return "-" if given is None and made is None else f"{count(given)}+{count(made)}"
