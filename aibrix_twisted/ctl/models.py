"""C{aibrixctl models}: what clients may ask for, and who serves it."""

from __future__ import annotations

from typing import Any, Final

from rich.table import Table

from aibrix_twisted.ctl.desk import Desk
from aibrix_twisted.ctl.screen import Cell, table

_HEAD: Final = ("MODEL", "REPLICAS", "ALIASES", "FALLBACKS")

#: Shown where a model has any: key, head.
_RARE: Final = (("split", "SPLIT"), ("policy", "POLICY"))

_FOLDED: Final = frozenset({"MODEL", "ALIASES", "FALLBACKS", "SPLIT"})


def models(desk: Desk) -> None:
    """Show each model, and how many of its replicas are up."""
    answer = desk.ask("GET", "/api/models")
    listed = answer.document.get("models", [])
    desk.screen.answer(answer.text, _models_table(listed))


def _models_table(listed: list[dict[str, Any]]) -> Table:
    rare = [(key, head) for key, head in _RARE if any(model.get(key) for model in listed)]
    rows = (
        [
            model["name"],
            _up_of(model),
            _listed(model.get("aliases")),
            _listed(model.get("fallbacks")),
            *(_listed(model.get(key)) for key, _ in rare),
        ]
        for model in listed
    )
    return table((*_HEAD, *(head for _, head in rare)), rows, folded=_FOLDED)


def _up_of(model: dict[str, Any]) -> Cell:
    """A model that is dealt out to others has no replicas of its own."""
    up, every = model.get("up", 0), len(model.get("replicas", ()))
    if not every and model.get("split"):
        return "-"
    return f"{up}/{every}", "green" if up == every and up else "yellow" if up else "red"


def _listed(value: Any) -> str:
    if isinstance(value, dict):
        value = [f"{name}={share:g}" for name, share in value.items()]
    if isinstance(value, list):
        value = ", ".join(value)
    return value or "-"
