"""How a line of an access log looks to people: on one line, or all that it has to say."""

from __future__ import annotations

from typing import Any, Final

from rich.text import Text

from aibrix_twisted.ctl.log_filter import Record, has_failed
from aibrix_twisted.ctl.screen import plain

#: Whose fault an error is is what it begins with.
_STYLES: Final = {"client": "yellow", "policy": "yellow", "engine": "bold red", "gateway": "bold red"}

#: As wide as the widest outcome.
_OUTCOME: Final = len("abandoned")

#: Of the bar that stands for the whole duration.
_WIDTH: Final = 40

_MEMBERS: Final = (
    "time", "trace_id", "client", "identity", "method", "path", "route", "model", "policy", "replica", "attempts",
    "status", "outcome", "cause", "error", "reason", "stream", "edited", "bytes_in", "bytes_out", "events",
    "input_tokens", "output_tokens", "cached_tokens", "tokens_by", "queued_s", "ttft_s", "tpot_s", "duration_s",
    "slow", "sample",
)  # fmt: skip


def line_text(record: Record) -> Text:
    """When, how it ended, how long it took, what and where it was; what went wrong comes last."""
    style = style_of(record)
    made = plain(f"{record['time']}  ")
    made.append_text(plain(f"{record.get('status', 0):>3} {record.get('outcome') or '-':<{_OUTCOME}}", style))
    slow = "yellow" if record.get("slow") else ""
    made.append_text(plain(f"  {_s(record.get('duration_s')):>8}", slow))
    made.append_text(plain(f"  ttft {_s(record.get('ttft_s')):>8}", slow))
    tokens = f"{_count(record.get('input_tokens'))}/{_output(record)}"
    where = f"{record.get('model') or '-'}  {record.get('replica') or '-'}"
    made.append_text(plain(f"  {tokens:>11}  {record.get('route') or '-'}  {where}  "))
    made.append_text(plain(record["id"], "bold"))
    if record.get("attempts", 0) > 1:
        made.append_text(plain(f"  attempts {record['attempts']}", "yellow"))
    if record.get("error"):
        made.append_text(plain(f"  {record['error']}: {record.get('reason', '')}", style))
    return made


def whole_text(record: Record) -> Text:
    """Every member, the phases drawn to scale, each attempt."""
    made = plain(record["id"], "bold")
    for name in (*_MEMBERS, *(name for name in record if name not in _MEMBERS)):
        value = record.get(name)
        if name in ("id", "phases", "tries") or value in (None, "", []):
            continue
        if isinstance(value, dict):
            value = [f"{name} {part}" for name, part in value.items()]
        said = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
        style = style_of(record) if name in ("status", "outcome", "error", "reason") else ""
        _begin(made, name).append_text(plain(said, style))
    _draw(made, record.get("phases") or {}, record.get("duration_s") or 0.0)
    for record_of_try in record.get("tries") or ():
        _tell(made, record_of_try)
    return made


def style_of(record: Record) -> str:
    """By whose fault it is, where it is any; an engine's own error is the engine's."""
    fault = str(record.get("error") or "").partition("_")[0]
    if fault:
        return _STYLES.get(fault, "red")
    if not has_failed(record):
        return "green"
    return "bold red" if record.get("status", 0) >= 500 else "yellow"


def _begin(made: Text, name: str) -> Text:
    """A row of its own."""
    return made.append("\n").append_text(plain(f"  {name:<14}", "dim"))


def _draw(made: Text, phases: dict[str, float], duration_s: float) -> None:
    begin = 0.0
    for name, took in phases.items():
        share = _WIDTH / duration_s if duration_s else 0.0
        bar = " " * min(round(begin * share), _WIDTH - 1) + "█" * max(1, round(took * share))
        _begin(made, name).append_text(plain(f"{_s(took):>9}  "))
        made.append_text(plain(bar[:_WIDTH], "cyan"))
        begin += took


def _tell(made: Text, attempt: dict[str, Any]) -> None:
    times = ", ".join(
        f"{name.removesuffix('_s')} {_s(attempt[name])}"
        for name in ("started_s", "sent_s", "head_s", "first_s", "ended_s")
        if attempt.get(name) is not None
    )
    said = f"{attempt.get('kind')} at {attempt.get('replica')}: {attempt.get('outcome')}"
    status = f", status {attempt['status']}" if attempt.get("status") else ""
    fault = f" ({attempt['fault']})" if attempt.get("fault") else ""
    style = "green" if attempt.get("outcome") == "complete" else "yellow"
    _begin(made, "attempt").append_text(plain(f"{said}{status}{fault}", style))
    made.append_text(plain(f"; {times}"))


def _s(seconds: float | None) -> str:
    """In the unit that needs no zeros in front."""
    if seconds is None:
        return "-"
    if seconds < 0.001:
        return f"{seconds * 1e6:.0f}us"
    return f"{seconds * 1e3:.1f}ms" if seconds < 1 else f"{seconds:.2f}s"


def _count(value: int | None) -> str:
    return "-" if value is None else str(value)


def _output(record: Record) -> str:
    """Tokens; where only events are known, these, and that it is they."""
    if record.get("tokens_by") == "events":
        return f"{record.get('events', 0)}ev"
    return _count(record.get("output_tokens"))
