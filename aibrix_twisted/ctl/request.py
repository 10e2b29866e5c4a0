"""C{aibrixctl request ID}: one request's time, step by step."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import quote

from rich.table import Table

from aibrix_twisted.ctl.desk import Desk
from aibrix_twisted.ctl.figures import count, took
from aibrix_twisted.ctl.requests import state_of, tokens_of
from aibrix_twisted.ctl.screen import Cell, table

#: How wide the longest phase's bar is.
_BAR: Final = 30

_STAMPS: Final = {
    "accepted": "the first byte of the request came",
    "head": "its head was there whole",
    "read": "all of it was there",
    "admitted": "what it asks was known",
    "first_byte": "the first byte of the answer's body went to the client",
    "ended": "it was over",
}

_STEPS: Final = {
    "ready": "a replica was about to be chosen",
    "started": "{replica} was chosen",
    "sent": "{replica} had the request",
    "head": "{replica} answered with {status}",
    "first": "{replica} sent the first of the body",
    "last": "{replica} sent the newest of the stream",
    "ended": "{replica} was done with: {outcome}{fault}",
}


def request(desk: Desk) -> None:
    """Show all that is known of when, and how long each phase took."""
    answer = desk.ask("GET", f"/api/requests/{quote(desk.options.id, safe='')}")
    said = answer.document
    parts: list[str | Table] = [*_summary(said), "", _steps(said)]
    if said.get("phases"):
        parts += ["", _phases(said["phases"]), "", f"the gateway's own of it: {took(said.get('own_s'))}"]
    desk.screen.answer(answer.text, *parts)


def _summary(said: dict[str, Any]) -> Iterator[str]:
    state, _ = state_of(said)
    status = f", status {said['status']}" if said.get("status") is not None else ""
    yield f"{said['id']}: {state}{status}, after {took(said.get('duration_s'))}"
    if said.get("reason"):
        yield f"why:      {said['reason']}"
    kind = "a stream" if said.get("stream") else "no stream"
    yield f"asked:    {said.get('method')} {said.get('path')}, {kind}, {said.get('bytes_in')} bytes"
    yield f"client:   {said.get('client')} at {said.get('accepted_at')}"
    policy = f", chosen by {said['policy']}" if said.get("policy") else ""
    yield f"replica:  {said.get('replica') or 'none'}{policy}, for the model {said.get('model') or 'that is not known'}"
    yield f"tokens:   {tokens_of(said)} (in+out), cached {count(said.get('cached_tokens'))}"
    if said.get("trace_id"):
        yield f"trace:    {said['trace_id']}"
    edited = f"; edited: {', '.join(said['edited'])}" if said.get("edited") else ""
    yield f"times:    first token {took(said.get('ttft_s'))}, each further one {took(said.get('tpot_s'))}, " \
          f"waited {took(said.get('queued_s'))}{edited}"  # fmt: skip


def _steps(said: dict[str, Any]) -> Table:
    """Everything that happened, in its order; what comes at one time, in the order of its names here."""
    found = [(at, text) for name, text in _STAMPS.items() if (at := said["stamps"].get(name)) is not None]
    for attempt in said.get("tries", []):
        fault = f" ({attempt['fault']})" if attempt.get("fault") else ""
        facts = {**attempt, "outcome": attempt.get("outcome") or "-", "fault": fault}
        kind = "" if attempt.get("kind") == "first" else f" ({attempt.get('kind')})"
        for name, text in _STEPS.items():
            if attempt.get(name) is not None:
                found.append((attempt[name], text.format_map(facts) + (kind if name == "started" else "")))
    found.sort(key=lambda step: (step[0], step[1] == _STAMPS["ended"]))
    before, rows = 0.0, list[list[Cell]]()
    for at, text in found:
        rows.append([took(at), f"+{took(at - before)}" if at > before else "", text])
        before = at
    return _right(table(("AT", "", "WHAT"), rows, folded=frozenset({"WHAT"})), 2)


def _phases(phases: dict[str, float]) -> Table:
    most = max(phases.values()) or 1.0
    rows = [[name, took(each), "█" * round(_BAR * each / most)] for name, each in phases.items()]
    return _right(table(("PHASE", "TOOK", ""), rows, folded=frozenset()), 2, since=1)


def _right(made: Table, until: int, since: int = 0) -> Table:
    """With figures below each other."""
    for column in made.columns[since:until]:
        column.justify = "right"
    return made
