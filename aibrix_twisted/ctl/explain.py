"""C{aibrixctl explain ID}: why one request went where it did."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

from rich.table import Table

from aibrix_twisted.ctl.desk import Desk
from aibrix_twisted.ctl.figures import count, took
from aibrix_twisted.ctl.screen import Cell, table


def explain(desk: Desk) -> None:
    """Show each decision: the candidates, what the policy made of each, and what came of it."""
    answer = desk.ask("GET", f"/api/explain/{quote(desk.options.id, safe='')}")
    said = answer.document
    parts: list[str | Table] = [*_summary(said)]
    for decision in said.get("decisions", []):
        parts += ["", *_decision(decision)]
    desk.screen.answer(answer.text, *parts)


def _summary(said: dict[str, Any]) -> Iterator[str]:
    outcome = f"{said['outcome']}, status {said['status']}" if said.get("outcome") else "under way"
    yield f"{said['id']}: {outcome}, first token {took(said.get('ttft_s'))}, {took(said.get('duration_s'))} in all"
    replica = said.get("replica") or "nobody"
    yield f"the model {said.get('model')}, {said.get('attempts')} attempts, answered by {replica}"


def _decision(decision: dict[str, Any]) -> Iterator[str | Table]:
    prompt = decision.get("prompt", {})
    known = f", a prompt of {prompt['bytes']} bytes in {prompt['blocks']} blocks" if prompt.get("bytes") else ""
    yield f"{decision.get('at')}: {decision['policy']} chose {decision['replica']}{known}"
    for fallback in decision.get("fallbacks", []):
        yield f"{fallback['policy']} had to do without: {fallback['reason']}"
    candidates = decision.get("candidates", [])
    names = list(candidates[0]["figures"]) if candidates else []
    rows = [_row(candidate, names, decision["replica"]) for candidate in candidates]
    yield table(("REPLICA", *(name.upper() for name in names)), rows, folded=frozenset())


def _row(candidate: dict[str, Any], names: list[str], chosen: str) -> list[Cell]:
    style = "bold green" if candidate["replica"] == chosen else ""
    mark = "> " if style else "  "
    figures = (candidate["figures"].get(name) for name in names)
    return [(mark + candidate["replica"], style), *((count(figure), style) for figure in figures)]
