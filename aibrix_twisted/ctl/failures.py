"""How a command can end, and what is said when it did not do what was asked."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from typing import ClassVar


class Exit(enum.IntEnum):
    """Exit codes.  Scripts rely on them."""

    DONE = 0
    REFUSED = 1
    MISUSED = 2
    UNREACHABLE = 3


class CommandError(Exception):
    """The root.  C{str(error)} is the sentence that the operator reads; empty where the notes say it all.

    @ivar notes: further lines: each problem, or what to look at.
    @ivar answer: the document that a script reads; empty where there is none.
    """

    exit: ClassVar[Exit]

    def __init__(self, message: str, notes: Sequence[str] = (), *, answer: str = "") -> None:
        super().__init__(message)
        self.notes = list(notes)
        self.answer = answer


class Refused(CommandError):
    """The gateway answered, and said no."""

    exit = Exit.REFUSED


class NotDrained(CommandError):
    """The wait for a replica to be drained ended before it was."""

    exit = Exit.REFUSED


class Misused(CommandError):
    """What was asked for, or the file that was named, cannot be used."""

    exit = Exit.MISUSED


class Unreachable(CommandError):
    """There is no gateway where it was looked for, or what is there is something else."""

    exit = Exit.UNREACHABLE
