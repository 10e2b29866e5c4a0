"""C{aibrixctl}: the operator's command, a thin client of the admin API.  It has no reactor."""

from __future__ import annotations

import os
import sys
import time
from argparse import Namespace
from collections.abc import Callable, Mapping, Sequence
from typing import Final, TextIO

from aibrix_twisted.ctl.client import Client
from aibrix_twisted.ctl.desk import Api, Desk, Pace
from aibrix_twisted.ctl.failures import CommandError, Exit, Misused
from aibrix_twisted.ctl.options import parse
from aibrix_twisted.ctl.screen import Screen
from aibrix_twisted.ctl.target import target_of

#: As a shell says it of a command that Ctrl-C ended.
_INTERRUPTED: Final = 130


def main() -> int:
    """The console script.

    @return: the exit code, as L{Exit} has it.
    """
    pace = Pace(time.monotonic, time.sleep, time.time)  # noqa: TID251 - there is no reactor that it could stop
    return run(sys.argv[1:], os.environ, sys.stdout, sys.stderr, pace, client_of)


def run(
    arguments: Sequence[str],
    environment: Mapping[str, str],
    out: TextIO,
    err: TextIO,
    pace: Pace,
    reach: Callable[[Namespace], Api],
) -> int:
    """One command.

    @return: the exit code.
    @raise SystemExit: from the parser of arguments.
    """
    options = parse(arguments, environment)
    screen = Screen(out, err, as_json=options.json)
    try:
        options.run(Desk(options, screen, pace, reach))
    except CommandError as error:
        screen.complain(error)
        return error.exit
    except KeyboardInterrupt:
        return _INTERRUPTED
    return Exit.DONE


def client_of(options: Namespace) -> Client:
    """The API where the options say it is.

    @raise Misused: they name no place, or a file without a token.
    """
    try:
        target = target_of(options.admin)
    except ValueError as error:
        raise Misused(f"--admin: found {options.admin!r}, {error}") from None
    return Client(target, _token_of(options.token_file) if options.token_file else "")


def _token_of(path: str) -> str:
    from aibrix_twisted.service.config.load import key_of  # slow to load, and few need it

    try:
        return key_of(path)
    except (OSError, ValueError) as error:
        raise Misused(f"--token-file: found {path!r}, expected a file with a token ({error})") from None
