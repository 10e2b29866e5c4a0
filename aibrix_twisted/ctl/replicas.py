"""C{aibrixctl replicas}: each engine, whether it is used, and why not."""

from __future__ import annotations

from typing import Any, Final

from aibrix_twisted.ctl.desk import Desk
from aibrix_twisted.ctl.screen import Cell, table

_HEAD: Final = (
    "NAME", "URL", "ENGINE", "STATE", "WHY", "MODELS", "IN-FLIGHT", "RUNNING", "WAITING", "KV", "SOURCE",
)  # fmt: skip

_FOLDED: Final = frozenset({"URL", "WHY", "MODELS", "SOURCE"})

#: Of states.
STYLES: Final = {"up": "green", "down": "bold red", "ejected": "red", "draining": "yellow", "leaving": "yellow"}

#: As many of a replica's models are named; LoRA adapters can be hundreds.
_NAMED: Final = 3

_UNITS: Final = ((86400, "d"), (3600, "h"), (60, "m"))


def replicas(desk: Desk) -> None:
    """Show every replica; what is wrong with where they come from is said beside the table."""
    answer = desk.ask("GET", "/api/replicas")
    rows = (_row(replica) for replica in answer.document.get("replicas", []))
    desk.screen.answer(answer.text, table(_HEAD, rows, folded=_FOLDED))
    for problem in answer.document.get("problems") or ():
        desk.screen.remark(f"problem: {problem}")


def _row(replica: dict[str, Any]) -> list[Cell]:
    load = replica.get("load") or {}
    state = replica.get("state", "unknown")
    return [
        replica["name"],
        replica["url"],
        replica.get("engine") or "-",
        (state, STYLES.get(state, "")),
        _why(replica),
        _models(replica.get("models")),
        _in_flight(replica),
        _count(load.get("running")),
        _count(load.get("waiting")),
        "-" if load.get("kv_usage") is None else f"{load['kv_usage']:.0%}",
        _source(replica),
    ]


def _why(replica: dict[str, Any]) -> str:
    """The reason, and for how long it has been so."""
    since = replica.get("since_s")
    age = "" if since is None else f"for {ago(since)}"
    reason = replica.get("reason") or ""
    return f"{reason} ({age})" if reason and age else reason or age or "-"


def _models(names: list[str] | None) -> str:
    if names is None:
        return "not known yet"
    more = f" +{len(names) - _NAMED}" if len(names) > _NAMED else ""
    return (", ".join(names[:_NAMED]) + more) or "-"


def _in_flight(replica: dict[str, Any]) -> str:
    cap = replica.get("max_in_flight")
    count = _count(replica.get("in_flight"))
    return f"{count}/{cap}" if cap else count


def _source(replica: dict[str, Any]) -> str:
    left = replica.get("expires_in_s")
    said = replica.get("source") or "-"
    return said if left is None else f"{said} ({ago(left)} left)"


def _count(value: float | None) -> str:
    return "-" if value is None else f"{value:g}"


def ago(seconds: float) -> str:
    """A time in its largest whole unit."""
    for size, unit in _UNITS:
        if seconds >= size:
            return f"{seconds // size:.0f}{unit}"
    return f"{max(seconds, 0.0):.0f}s"
