"""The file that lines are appended to, or a pipe, a socket, the standard output.

All of it but C{hurry} is called in a thread, by one at a time: whatever has to be waited for is waited for there.
"""

from __future__ import annotations

import errno
import os
import select
import stat
import sys
from typing import Final

#: As the operating system makes files of others that log: the group may read.
MODE: Final = 0o640

#: What a pipe that says that it can be written to takes at once (POSIX: C{PIPE_BUF}).
_PIECE: Final = select.PIPE_BUF

#: How often a pipe that nobody reads is looked at, and whether to go on with it.
_LOOK_MS: Final = 100

#: There may be room again, and what was begun can then be gone on with.
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})


class LogFile:
    """Opened when there is something to write, or when it is renewed."""

    def __init__(self) -> None:
        self._fd: int | None = None
        self._regular = True
        self._within = False  # the last line that was written is not whole
        self._hurried = False

    def hurry(self) -> None:
        """From any thread: wait no more for a pipe that nobody reads, until it is opened anew."""
        self._hurried = True

    def write(self, path: str, lines: bytearray, *, renew: bool = False) -> int:
        """Append lines; those that were written are taken away from C{lines}, as far as it got.

        @param path: C{-} is the standard output.
        @param renew: open it anew: what was open may have been moved away.
        @return: how many lines were spoilt, because their beginning is in a file that is no longer written to.
        @raise OSError: it cannot be opened or written to.
        """
        if renew:
            self.close()
        spoilt = 0
        if self._fd is None:
            if self._within and lines:
                del lines[: lines.find(b"\n") + 1]
                spoilt, self._within = 1, False
            self._open(path)
        try:
            self._append(lines)
        except OSError as error:
            if error.errno not in _FULL:
                self.close()
            raise
        return spoilt

    def close(self) -> None:
        """Close it."""
        fd, self._fd = self._fd, None
        if fd is not None:
            os.close(fd)

    def _open(self, path: str) -> None:
        self._hurried = False
        if path == "-":
            self._fd = os.dup(sys.__stdout__.fileno() if sys.__stdout__ is not None else 1)
        else:
            self._fd = _appended(path)
        self._regular = stat.S_ISREG(os.fstat(self._fd).st_mode)

    def _append(self, lines: bytearray) -> None:
        assert self._fd is not None
        while lines:
            piece = len(lines) if self._regular else self._piece(lines)
            if not piece:
                return
            with memoryview(lines) as whole, whole[:piece] as part:
                try:
                    written = os.write(self._fd, part)
                except BlockingIOError:
                    written = 0
            if written:
                self._within = lines[written - 1] != 0x0A
                del lines[:written]

    def _piece(self, lines: bytearray) -> int:
        """Wait until some can be written without waiting; whole lines, if they are not too long.

        @return: how much; 0: nobody reads, and it was not to be waited for.
        """
        ready = select.poll()
        ready.register(self._fd or 0, select.POLLOUT)
        while not ready.poll(0 if self._hurried else _LOOK_MS):
            if self._hurried:
                return 0
        if len(lines) <= _PIECE:
            return len(lines)
        return lines.rfind(b"\n", 0, _PIECE) + 1 or _PIECE


def _appended(path: str) -> int:
    """A file that is there, or one with our mode, whatever the process's mask; a pipe is not waited for."""
    flags = os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
    try:
        fd = os.open(path, flags | os.O_CREAT | os.O_EXCL, MODE)
    except FileExistsError:
        return os.open(path, flags | os.O_CREAT, MODE)
    os.fchmod(fd, MODE)
    return fd
