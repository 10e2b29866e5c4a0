"""Where lines of an access log come from: files, the standard input, the journal; and what is waited for."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from typing import IO, Final

from aibrix_twisted.ctl.desk import Pace
from aibrix_twisted.ctl.failures import Misused

#: How often the end of a file is looked at.
_LOOK_S: Final = 0.25

_GZIP: Final = b"\x1f\x8b"


def of_files(paths: Sequence[str]) -> Iterator[bytes]:
    """The lines of files, one after the other; C{-} is the standard input, and C{gzip}'s files are unpacked.

    @raise Misused: one cannot be read.
    """
    for path in paths:
        if path == "-":
            yield from sys.stdin.buffer
            continue
        try:
            with open(path, "rb") as file:
                packed = file.read(2) == _GZIP
                file.seek(0)
                yield from gzip.open(file) if packed else file
        except (OSError, EOFError) as error:
            raise Misused(_unreadable(path, error)) from None


def followed(path: str, pace: Pace, *, from_end: bool) -> Iterator[bytes]:
    """The lines of a file, and those that come; when it is moved away, those of the next one, too.

    The gateway opens the next one when it is done with the one before: who sees it has seen the end of that.

    @param from_end: only those that come.
    @raise Misused: it is not there at the beginning.
    """
    file: IO[bytes]
    try:
        file = open(path, "rb")
    except OSError as error:
        raise Misused(_unreadable(path, error)) from None
    try:
        if from_end:
            file.seek(0, os.SEEK_END)
        rest = b""
        while True:
            another = _another(path, file)
            for line in file:
                rest += line
                if rest.endswith(b"\n"):
                    yield rest
                    rest = b""
            if another is None:
                pace.pause(_LOOK_S)
            else:
                file.close()
                file, rest = another, b""
    finally:
        file.close()


def of_unit(unit: str, since: float | None, *, follow: bool) -> Iterator[bytes]:
    """What the journal has of a systemd unit's standard output.

    @param since: seconds since 1970.
    @raise Misused: there is no journal that could be read.
    """
    command = ["journalctl", "--output=cat", "--no-pager", "--quiet", f"--unit={unit}"]
    if since is not None:
        command.append(f"--since=@{since:.0f}")
    if follow:
        command += ["--follow", "--no-tail"] if since is not None else ["--follow", "--lines=0"]
    try:
        journal = subprocess.Popen(command, stdout=subprocess.PIPE)
    except OSError as error:
        notes = ("a file of the access log can be named: FILE",)
        raise Misused(f"the journal cannot be read: journalctl: {error.strerror}", notes) from None
    with journal:
        try:
            assert journal.stdout is not None
            yield from journal.stdout
            journal.wait()
        finally:
            journal.terminate()  # nothing, where it has been waited for
    if journal.returncode:
        raise Misused(f"the journal of {unit} cannot be read; journalctl says why")


def _another(path: str, file: IO[bytes]) -> IO[bytes] | None:
    """The file that is at C{path} now, where that is not C{file} any more, or it has been emptied."""
    try:
        found, has = os.stat(path), os.fstat(file.fileno())
        if (found.st_dev, found.st_ino) == (has.st_dev, has.st_ino) and found.st_size >= file.tell():
            return None
        return open(path, "rb")
    except OSError:
        return None  # it will be there again


def _unreadable(path: str, error: Exception) -> str:
    return f"{path}: expected a file of the access log ({getattr(error, 'strerror', None) or error})"
