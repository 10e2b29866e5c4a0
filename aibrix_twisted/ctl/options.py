"""The command line."""

from __future__ import annotations

import math
from argparse import SUPPRESS, ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, get_args

from aibrix_twisted import __version__
from aibrix_twisted.ctl.check import check
from aibrix_twisted.ctl.desk import Desk
from aibrix_twisted.ctl.explain import explain
from aibrix_twisted.ctl.install import install
from aibrix_twisted.ctl.logs import UNIT, logs
from aibrix_twisted.ctl.models import models
from aibrix_twisted.ctl.reload import reload
from aibrix_twisted.ctl.replica import add, drain, eject, remove, restore, undrain
from aibrix_twisted.ctl.replicas import replicas
from aibrix_twisted.ctl.request import request
from aibrix_twisted.ctl.requests import requests
from aibrix_twisted.ctl.simulate import simulate
from aibrix_twisted.ctl.top import top
from aibrix_twisted.domain.assembly import Outcome
from aibrix_twisted.domain.settings import Engine

DEFAULT_ADMIN: Final = "http://127.0.0.1:9090"

_EPILOG: Final = """
exit codes: 0 done; 1 refused by the gateway; 2 wrong usage, or a file that cannot be used;
3 the gateway cannot be reached
"""

_NAMED: Final[tuple[tuple[str, Callable[[Desk], None], str], ...]] = (
    ("remove", remove, "remove a replica that was added, once nothing is in flight there"),
    ("drain", drain, "give a replica no new requests"),
    ("undrain", undrain, "give it requests again"),
    ("eject", eject, "use a replica only where nothing else is left"),
    ("restore", restore, "take an ejection back"),
)


def parse(arguments: Sequence[str], environment: Mapping[str, str]) -> Namespace:
    """Take the command line apart; C{run} of what is returned is the command.

    @raise SystemExit: with 2, where it is wrong; with 0, where help or the version was asked for.
    """
    parser = ArgumentParser(prog="aibrixctl", description="Look after a running aibrix-gateway.", epilog=_EPILOG)
    parser.add_argument("--version", action="version", version=f"aibrixctl {__version__}")
    _add_common(
        parser,
        admin=environment.get("AIBRIX_ADMIN") or DEFAULT_ADMIN,
        token_file=environment.get("AIBRIX_ADMIN_TOKEN_FILE") or "",
        json=False,
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    def command(name: str, run: Callable[[Desk], None], text: str) -> ArgumentParser:
        made: ArgumentParser = commands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
        _add_common(made, admin=SUPPRESS, token_file=SUPPRESS, json=SUPPRESS)
        made.set_defaults(run=run)
        return made

    command("check", check, "validate a configuration file").add_argument("file", metavar="FILE")
    command("replicas", replicas, "show each replica, and whether it is used")
    _add_replica(command("add", add, "add a replica"))
    for name, run, text in _NAMED:
        named = command(name, run, text)
        named.add_argument("name", metavar="NAME")
        if run is drain:
            named.add_argument("--wait", metavar="S", type=_seconds, help="come back when nothing is in flight there")
    command("models", models, "show each model, and how many of its replicas are up")
    _add_requests(command("requests", requests, "show requests under way, or the last that are over"))
    command("request", request, "show where one request's time went").add_argument("id", metavar="ID")
    command("explain", explain, "show why one request went where it did").add_argument("id", metavar="ID")
    _add_top(command("top", top, "watch the gateway at work; q quits"))
    _add_logs(command("logs", logs, "show lines of the access log"))
    _add_simulate(command("simulate", simulate, "replay a trace with policies, in virtual time; asks no gateway"))
    _add_install(command("install", install, "make the gateway a service of systemd; asks no gateway"))
    command("reload", reload, "have the gateway read its configuration again")
    return parser.parse_args(arguments)


def _add_common(parser: ArgumentParser, **default: Any) -> None:
    """They may stand before the command and after it."""
    parser.add_argument(
        "--admin",
        metavar="URL",
        default=default["admin"],
        help=f"the admin listener, or unix:/path; default: AIBRIX_ADMIN, else {DEFAULT_ADMIN}",
    )
    parser.add_argument(
        "--token-file",
        metavar="FILE",
        default=default["token_file"],
        help="its first line is the token; default: AIBRIX_ADMIN_TOKEN_FILE",
    )
    parser.add_argument("--json", action="store_true", default=default["json"], help="the API's answer, unchanged")


def _add_replica(parser: ArgumentParser) -> None:
    parser.add_argument("url", metavar="URL")
    parser.add_argument("--name", metavar="N", default="", help="default: host:port")
    parser.add_argument("--engine", choices=get_args(Engine), help="default: detected")
    parser.add_argument("--model", metavar="M", action="append", help="repeatable; default: asked of it")
    parser.add_argument("--weight", metavar="W", type=_number, help="its share beside others; default 1")
    parser.add_argument("--ttl", metavar="S", type=_seconds, help="it leaves unless it is added again within so long")
    parser.add_argument("--label", metavar="k=v", action="append", type=_label, default=[], help="repeatable")


def _add_requests(parser: ArgumentParser) -> None:
    parser.add_argument("--past", action="store_true", help="those that are over; default: those under way")
    parser.add_argument("--errors", action="store_true", help="those that failed, and so are over")
    parser.add_argument("--slow", metavar="S", type=_seconds, help="that took so long, or are under way for so long")
    parser.add_argument("--model", metavar="M", help="of that model")
    parser.add_argument("--replica", metavar="R", help="that were tried at this replica")
    parser.add_argument("--limit", metavar="N", type=int, help="how many, the newest first; default 100")


def _add_top(parser: ArgumentParser) -> None:
    parser.add_argument("--every", metavar="S", type=_pause, default=0.5, help="between two looks; default 0.5")
    parser.add_argument("--once", action="store_true", help="one look, and no more")


def _add_logs(parser: ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", nargs="*", help="- is the standard input; default: the journal")
    parser.add_argument("--unit", metavar="UNIT", help=f"whose journal is read; default {UNIT}")
    parser.add_argument("--errors", action="store_true", help="what failed")
    parser.add_argument("--slow", action="store_true", help="what the gateway found slow; with --errors: either")
    parser.add_argument("--over", metavar="S", type=_seconds, help="what took longer to its first byte; as --slow")
    parser.add_argument("--request", metavar="ID", help="that exchange, with all that is known of it")
    parser.add_argument("--since", metavar="T", help="30s, 15m, 2h or 1d ago, or a time")
    parser.add_argument("--model", metavar="M", help="of that model")
    parser.add_argument("--replica", metavar="R", help="that this replica had a part in")
    parser.add_argument("--outcome", choices=(*Outcome, "refused"), help="that ended so")
    parser.add_argument("--follow", "-f", action="store_true", help="and what comes, without --since only that")


def _add_simulate(parser: ArgumentParser) -> None:
    parser.add_argument("--trace", metavar="FILE", required=True, help="in Mooncake's format, or of GET /api/flights")
    parser.add_argument(
        "--policy",
        metavar="P[,P...]",
        action="append",
        help="repeatable; several as one with plus signs (prefix-cache:2+least-request); default: all",
    )
    parser.add_argument("--replicas", metavar="N", type=_count, default=8, help="default 8")
    parser.add_argument("--cache-blocks", metavar="N", type=_count, default=6000, help="of each; default 6000")
    parser.add_argument("--speed", metavar="X", type=_factor, default=1.0, help="of the trace's clock; default 1")
    parser.add_argument("--prefill", metavar="T", type=_factor, default=10_000.0, help="tokens a second; default 10000")
    parser.add_argument("--seed", metavar="N", type=int, default=1, help="of the lot; default 1")
    parser.add_argument("--plot", metavar="FILE", default="", help="times to first tokens, as .svg, .png or .pdf")


def _add_install(parser: ArgumentParser) -> None:
    parser.add_argument("--socket", action="store_true", help="with a socket that systemd opens and keeps")
    parser.add_argument("--root", metavar="DIR", default="/", help="below this folder; default /")


def _count(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) <= 10_000_000:
        raise ArgumentTypeError(f"found {text!r}, expected a whole number above 0")
    return int(text)


def _factor(text: str) -> float:
    value = _number(text)
    if value <= 0:
        raise ArgumentTypeError(f"found {text!r}, expected a number above 0")
    return value


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ArgumentTypeError(f"found {text!r}, expected a number")
    return value


def _seconds(text: str) -> float:
    value = _number(text)
    if value < 0:
        raise ArgumentTypeError(f"found {text!r}, expected seconds")
    return value


def _pause(text: str) -> float:
    value = _number(text)
    if value < 0.1:
        raise ArgumentTypeError(f"found {text!r}, expected seconds from 0.1")
    return value


def _label(text: str) -> tuple[str, str]:
    key, mark, value = text.partition("=")
    if not mark or not key:
        raise ArgumentTypeError(f"found {text!r}, expected key=value")
    return key, value
