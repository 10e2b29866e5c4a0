"""What C{aibrixctl top} shows, made of the API's documents."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any, Final, NamedTuple

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from aibrix_twisted.ctl.figures import count, per_second, quantile, size
from aibrix_twisted.ctl.replicas import STYLES, ago
from aibrix_twisted.ctl.screen import Cell, plain, table

_FLEET: Final = ("REPLICA", "STATE", "SINCE", "FLIGHT", "RUN", "WAIT", "KV", "REQ/S", "FAIL/S", "TTFT50", "TTFT99",
                 "ITL50", "ITL99", "WHY")  # fmt: skip
_MODELS: Final = ("MODEL", "UP", "FLIGHT", "WAIT", "REQ/S", "TOK/S", "TTFT50", "TTFT99", "ITL50", "ITL99")
_LATENCY: Final = (("TTFT", "ttft_s"), ("ITL", "itl_s"), ("per token", "tpot_s"), ("request", "duration_s"),
                   ("queued", "queued_s"), ("own", "own_s"))  # fmt: skip
_ERRORS: Final = ("AGO", "ERROR", "MODEL", "REPLICA", "ID", "WHY")

#: Who is up comes last: they are the first to go where there is no room for all.
_ORDER: Final = ("down", "ejected", "unknown", "draining", "leaving", "up")

#: Columns that a narrow terminal has no room for, and from which width on all of them are there.
_RARE: Final = frozenset({"SINCE", "RUN", "KV", "TTFT99", "ITL99", "ID"})
_WIDE: Final = 120

#: Columns that may be cut, to so many letters; the figures of all others are shown whole.
_LEAST: Final = {"REPLICA": 10, "MODEL": 10, "ERROR": 16, "ID": 8, "WHY": 8}

#: Between two columns.
_GAP: Final = 2

#: Lines that are not of a list.
_FIXED: Final = 18

#: The last errors that are listed, and as many models, where there is room.
ERRORS_SHOWN: Final = 8


class Look(NamedTuple):
    """One look at the gateway.

    @ivar stats: C{/api/stats}.
    @ivar fleet: C{/api/fleet}.
    @ivar errors: C{/api/requests}, the last that failed.
    """

    stats: dict[str, Any]
    fleet: dict[str, Any]
    errors: dict[str, Any]


def board(look: Look, width: int, height: int, trouble: str = "") -> RenderableType:
    """The whole screen.

    @param width: columns that there are.
    @param height: lines.
    @param trouble: why this is not of now; empty: it is.
    """
    stats, fleet = look.stats, look.fleet
    some = max(1, min(ERRORS_SHOWN, height // 6))
    models = sorted(fleet["models"], key=lambda model: -model["in_flight"] - model["waiting"])[:some]
    errors = look.errors["requests"][:some]
    left = max(3, height - _FIXED - len(models) - len(errors))
    replicas = sorted(fleet["replicas"], key=lambda replica: _ORDER.index(replica["state"]))
    more = [plain(f"and {len(replicas) - left} more", "dim")] if len(replicas) > left else []
    rates = {model["name"]: model["last_10s"] for model in stats["models"]}
    return Group(
        _title(stats, trouble),
        *_now(stats),
        Text(),
        _latencies(stats, width),
        Text(),
        _tight(_FLEET, (_replica(one) for one in replicas[:left]), width),
        *more,
        Text(),
        _tight(_MODELS, (_model(one, rates.get(one["name"])) for one in models), width),
        Text(),
        _tight(_ERRORS, (_error(one, look.errors["now"]) for one in errors), width)
        if errors
        else plain("no errors", "dim"),
    )


def _title(stats: dict[str, Any], trouble: str) -> Text:
    state = ("ready", "green") if stats["ready"] else ("not ready", "red")
    if stats["draining"]:
        state = ("draining", "yellow")
    title = plain(f"aibrix-gateway {stats['version']}", "bold")
    title.append("  ").append(*((trouble, "bold red") if trouble else state))
    title.append(f"  up {ago(stats['uptime_s'])}  {stats['now'][11:19]} UTC  memory {size(stats['rss_bytes'])}  ")
    return _line(title.append("q quits", "dim"))


def _now(stats: dict[str, Any]) -> Iterator[Text]:
    last, minute = stats["last_10s"], stats["last_60s"]
    states = {name: number for name, number in stats["states"].items() if number}
    where = ", ".join(f"{number} {name.replace('_', ' ')}" for name, number in states.items())
    waiting = sum(stats["waiting"].values())
    connections = stats["connections"]
    yield _line(
        f"under way {stats['under_way']}{f' ({where})' if where else ''}, in flight {stats['in_flight']}, "
        f"in the waiting room {waiting}"
    )
    well = last["outcomes_per_s"].get("complete", 0.0)
    yield _line(
        f"requests {per_second(last['requests_per_s'])}/s (in 60 s {per_second(minute['requests_per_s'])}/s), "
        f"not complete {per_second(max(0.0, last['requests_per_s'] - well))}/s, tokens "
        f"{per_second(last['input_tokens_per_s'])}/s in, {per_second(last['output_tokens_per_s'])}/s out; clients "
        f"{connections['clients']}, connections to engines {connections['upstream_busy']} busy, "
        f"{connections['upstream_idle']} idle"
    )


def _latencies(stats: dict[str, Any], width: int) -> Table:
    head = ("", *(f"{name} {share}" for share in ("p50", "p90", "p99") for name in ("10s", "60s")))
    windows = (stats["last_10s"], stats["last_60s"])
    rows: list[list[Cell]] = [
        [name, *(quantile(window[key], share) for share in ("p50", "p90", "p99") for window in windows)]
        for name, key in _LATENCY
    ]
    return _tight(head, rows, width)


def _replica(replica: dict[str, Any]) -> list[Cell]:
    lately, state = replica["last_10s"], replica["state"]
    load = (replica["load"] if state != "down" else None) or {}  # what it said before it died is of no use
    failing = per_second(lately["failed_per_s"])
    cap = replica["max_in_flight"]
    return [
        replica["name"],
        (state, STYLES.get(state, "")),
        ago(replica["since_s"]),
        f"{replica['in_flight']}/{cap}" if cap else count(replica["in_flight"]),
        count(load.get("running")),
        count(load.get("waiting")),
        "-" if load.get("kv_usage") is None else f"{load['kv_usage']:.0%}",
        per_second(lately["attempts_per_s"]),
        (failing, "red") if lately["failed_per_s"] else failing,
        *_both(lately, "ttft_s"),
        *_both(lately, "itl_s"),
        replica["reason"] or "-",
    ]


def _model(model: dict[str, Any], rates: dict[str, Any] | None) -> list[Cell]:
    up, every = model["up"], len(model["replicas"])
    lately = rates or {"ttft_s": None, "itl_s": None, "requests_per_s": 0.0, "output_tokens_per_s": 0.0}
    return [
        model["name"],
        (f"{up}/{every}", "green" if up == every and up else "yellow" if up else "red"),
        count(model["in_flight"]),
        (count(model["waiting"]), "yellow" if model["waiting"] else ""),
        per_second(lately["requests_per_s"]),
        per_second(lately["output_tokens_per_s"]),
        *_both(lately, "ttft_s"),
        *_both(lately, "itl_s"),
    ]


def _error(request: dict[str, Any], now: str) -> list[Cell]:
    accepted, looked = datetime.fromisoformat(request["accepted_at"]), datetime.fromisoformat(now)
    return [
        ago((looked - accepted).total_seconds() - request["duration_s"]),
        (request["error"], "red"),
        request["model"] or "-",
        request["replica"] or "-",
        request["id"],
        request["reason"],
    ]


def _both(lately: dict[str, Any], key: str) -> tuple[str, str]:
    return quantile(lately[key], "p50"), quantile(lately[key], "p99")


def _line(said: str | Text) -> Text:
    """One line, whatever there is no room for."""
    made = plain(said) if isinstance(said, str) else said
    made.no_wrap, made.overflow = True, "ellipsis"
    return made


def _tight(head: tuple[str, ...], rows: Iterable[list[Cell]], width: int) -> Table:
    """A table of one line a row: where there is no room, names are cut, and most of all what is said in words."""
    kept = [at for at, name in enumerate(head) if width >= _WIDE or name not in _RARE]
    cells = [[row[at] for at in kept] for row in rows]
    names = [head[at] for at in kept]
    made = table(names, cells, folded=frozenset())
    longest = [max(len(name), *(len(_said(row[at])) for row in cells), 0) for at, name in enumerate(names)]
    least = [min(most, _LEAST.get(name, most)) for most, name in zip(longest, names, strict=True)]
    left = width - _GAP * len(names) - sum(least)
    for column, most, given in zip(made.columns, longest, least, strict=True):
        more = max(0, min(most - given, left))
        left -= more
        column.width, column.overflow = given + more, "ellipsis"
    return made


def _said(cell: Cell) -> str:
    return cell if isinstance(cell, str) else cell[0]
