"""Readers of C{/api/events}, in a process of their own, which costs whoever is measured nothing but what it sends."""

from __future__ import annotations

import subprocess
import sys
from types import TracebackType
from typing import Self

_PROGRAM = """
import selectors, socket, sys
chosen, got = selectors.DefaultSelector(), 0
for _ in range(int(sys.argv[2])):
    made = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
    made.sendall(b"GET /api/events HTTP/1.1\\r\\nhost: 127.0.0.1\\r\\n\\r\\n")
    chosen.register(made, selectors.EVENT_READ)
chosen.register(sys.stdin, selectors.EVENT_READ)
while True:
    for key, _ in chosen.select():
        if key.fileobj is sys.stdin:
            sys.exit(print(got))
        data = key.fileobj.recv(1 << 20)
        if not data:
            sys.exit("a reader was cut off")
        got += len(data)
"""


class Readers:
    """So many, for as long as it is entered.

    @ivar got: bytes that they had, all together; known once it is left.
    """

    def __init__(self, admin: int, count: int) -> None:
        """@param admin: the port where the admin API is."""
        self._command = (sys.executable, "-c", _PROGRAM, str(admin), str(count))
        self.got = 0

    def __enter__(self) -> Self:
        """They come."""
        self._process = subprocess.Popen(self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """They go."""
        said, _ = self._process.communicate(timeout=30)
        if self._process.returncode:
            raise RuntimeError("the readers were not there to the end")
        self.got = int(said)
