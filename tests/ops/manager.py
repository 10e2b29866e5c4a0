"""A service manager for tests: does for one service what systemd would do, and remembers what it was told.

It speaks sd_notify(3) with descriptors (C{FDSTORE}), sd_listen_fds(3) and sd_watchdog_enabled(3).
"""

from __future__ import annotations

import array
import os
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

#: For a process to come up, or to go down, on a busy machine.
PATIENCE_S = 60.0

#: Becomes the service: puts the descriptors where they belong, and says whose they are, as only the process itself can.
_EXEC = """
import os, sys
count, command = int(sys.argv[1]), sys.argv[2:]
for number in range(count):
    os.set_inheritable(3 + number, True)
if count:
    os.environ["LISTEN_PID"] = str(os.getpid())
os.execv(command[0], command)
"""

#: Is the service, and hangs for as long as anyone cares to wait when it is sent SIGUSR1.
_HANGS = """
import os, runpy, signal, sys, time
def hang_here(number, frame):
    time.sleep(600)
signal.signal(signal.SIGUSR1, hang_here)
os.environ["LISTEN_PID"] = str(os.getpid())
sys.argv = sys.argv[2:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


class Manager:
    """Starts it, listens to it, and starts it again where its watchdog barks.

    @ivar told: each message, as lines.
    @ivar main: the process that is the service.
    @ivar store: sockets that the service gave us to keep, by name.
    @ivar barked: how often the watchdog did.
    """

    def __init__(
        self,
        command: list[str],
        *,
        sockets: tuple[tuple[str, socket.socket], ...] = (),
        watchdog_s: float = 0.0,
        hangs: bool = False,
    ) -> None:
        self._command = command
        self._sockets = sockets
        self._watchdog_s = watchdog_s
        self._shim = _HANGS if hangs else _EXEC
        self._folder = tempfile.TemporaryDirectory()
        self._address = str(Path(self._folder.name, "notify"))
        self._channel = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._channel.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self._channel.bind(self._address)
        self._channel.settimeout(0.05)
        self._processes: list[subprocess.Popen[bytes]] = []
        self._fed = 0.0
        self._ended = False
        self.log = Path(self._folder.name, "log")
        self.log.touch()
        self.told: list[list[str]] = []
        self.store: dict[str, socket.socket] = {}
        self.barked = 0
        self.main = 0
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def __enter__(self) -> Manager:
        self.start()
        self.until(lambda: "READY=1" in self.lines or self._processes[-1].poll() is not None, "it is ready")
        assert "READY=1" in self.lines, self.log.read_text()[-5000:]
        return self

    def __exit__(self, *exc: object) -> None:
        self._ended = True
        self._thread.join()
        for process in self._processes:
            if process.poll() is None:
                process.kill()
            process.wait()
        if self.main and self.main not in {process.pid for process in self._processes}:
            _kill(self.main)
        for each in (*self.store.values(), self._channel):
            each.close()
        if exc[0] is not None:
            print(self.log.read_text())
        self._folder.cleanup()

    @property
    def lines(self) -> list[str]:
        """All that it was told."""
        return [line for message in tuple(self.told) for line in message]

    def last(self, word: str) -> str:
        """What was said of this the last time."""
        said = [line.partition("=")[2] for line in self.lines if line.startswith(f"{word}=")]
        return said[-1] if said else ""

    def start(self) -> None:
        """Start it, with the sockets that are its."""
        self._fed = time.monotonic() + PATIENCE_S
        passed = [*self._sockets, *sorted(self.store.items())]
        environment = {**os.environ, "NOTIFY_SOCKET": self._address}
        for name in ("LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PID", "WATCHDOG_USEC", "WATCHDOG_PID"):
            environment.pop(name, None)
        if passed:
            environment |= {"LISTEN_FDS": str(len(passed)), "LISTEN_FDNAMES": ":".join(name for name, _ in passed)}
        if self._watchdog_s:
            environment["WATCHDOG_USEC"] = str(round(self._watchdog_s * 1e6))
        with self.log.open("ab") as log:
            # A child's descriptors 3 and up are these, in this order: moved there above all others, then closed.
            numbers = [held.fileno() for _, held in passed]
            process = subprocess.Popen(
                [sys.executable, "-c", _mover(self._shim, numbers), str(len(passed)), *self._command],
                stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, env=environment, pass_fds=numbers,
            )  # fmt: skip
        self._processes.append(process)
        self.main = process.pid

    def send(self, number: signal.Signals) -> None:
        """A signal to the main process."""
        os.kill(self.main, number)

    def stop(self) -> int:
        """SIGTERM, and wait.

        @return: the exit code of the process that was started last.
        """
        self.send(signal.SIGTERM)
        return self._processes[-1].wait(PATIENCE_S)

    def gone(self, pid: int) -> bool:
        """Whether that process is over."""
        for process in self._processes:
            if process.pid == pid:
                return process.poll() is not None
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        return False

    def until(self, done: Callable[[], object], what: str) -> None:
        """Wait for it."""
        deadline = time.monotonic() + PATIENCE_S
        while not done():
            assert time.monotonic() < deadline, f"not: {what}\n{self.told}\n{self.log.read_text()[-3000:]}"
            time.sleep(0.02)

    def _listen(self) -> None:
        while not self._ended:
            try:
                data, along, _, _ = self._channel.recvmsg(65536, socket.CMSG_SPACE(12) + socket.CMSG_SPACE(64))
            except TimeoutError:
                self._look()
                continue
            pid, found = 0, array.array("i")
            for _, kind, value in along:
                if kind == socket.SCM_CREDENTIALS:
                    pid = struct.unpack("3i", value[:12])[0]
                elif kind == socket.SCM_RIGHTS:
                    found.frombytes(value)
            self._hear(data.decode().splitlines(), pid, list(found))
            self._look()

    def _hear(self, lines: list[str], pid: int, descriptors: list[int]) -> None:
        said = dict(line.partition("=")[::2] for line in lines)
        if pid != self.main:  # NotifyAccess=main
            self.told.append([f"REFUSED={pid}", *lines])
            return
        if "WATCHDOG" in said or "READY" in said:
            self._fed = time.monotonic()
        if "MAINPID" in said:
            self.main = int(said["MAINPID"])
        if "FDSTORE" in said:
            (descriptor,) = descriptors
            self.store[said["FDNAME"]] = socket.socket(fileno=descriptor)
        if "FDSTOREREMOVE" in said:
            self.store.pop(said["FDNAME"]).close()
        self.told.append(lines)

    def _look(self) -> None:
        """The watchdog: as systemd, SIGABRT, and a new one."""
        if self._watchdog_s and time.monotonic() - self._fed > self._watchdog_s and not self._ended:
            self.barked += 1
            process = self._processes[-1]
            process.send_signal(signal.SIGABRT)
            process.wait(PATIENCE_S)
            self.start()


def _mover(shim: str, numbers: list[int]) -> str:
    """The shim, after the descriptors have been moved to 3 and up."""
    return (
        f"import os\nhigh = [os.dup2(number, 200 + at) for at, number in enumerate({numbers})]\n"
        f"[os.close(number) for number in {numbers}]\n"
        "[os.dup2(number, 3 + at) for at, number in enumerate(high)]\n[os.close(number) for number in high]\n" + shim
    )


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return
