"""The gateway as operators run it: C{twistd} in a process of its own, on a reactor that is named."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from tests.authority import Authority
from tests.e2e.harness import free_port
from tests.e2e.hostile.line import SECURE, Line

#: The gateway's own reactor, which it chooses by itself, and Twisted's.
REACTORS: Final = ("own", "epoll")

#: What a test that waits for longer has failed.
PATIENCE_S: Final = 40.0

#: One try at one replica, whatever comes of it: nothing of what an engine does is hidden by a second one.
ONCE: Final = """
[retry]
attempts = 1
resend_reused = false
[breaker]
enabled = false
[health]
probe_interval = 0
[heal]
mode = "off"
"""


class Daemon:
    """One of them.

    @ivar port: where clients connect.
    """

    def __init__(
        self,
        reactor: str,
        engine: int,
        more: str = ONCE,
        *,
        replica: str = "",
        descriptors: int = 0,
        ready: bool = True,
        secure: bool = False,
    ) -> None:
        """
        @param engine: the port of the only replica, which serves the model C{m}.
        @param more: sections of its configuration.
        @param replica: what else that says of the replica.
        @param descriptors: that it may have; 0: as many as we.
        @param ready: it can be, which is waited for.
        @param secure: C{port} is one on which it speaks TLS.
        """
        self._ready = ready
        self.port = free_port()
        self.admin = free_port()
        self._folder = Path(tempfile.mkdtemp())
        (self._folder / "gateway.toml").write_text(
            f'listen = ["tcp:{self.port}:interface=127.0.0.1:backlog=4096"]\n'
            f'admin = "tcp:{self.admin}:interface=127.0.0.1"\n'
            f'[[replica]]\nname = "e0"\nurl = "http://127.0.0.1:{engine}"\nengine = "vllm"\nmodels = ["m"]\n{replica}\n'
            f'[access_log]\npath = ""\n{self._tls() if secure else ""}{more}'
        )
        named = () if reactor == "own" else ("--reactor", reactor)
        command = (str(Path(sys.executable).with_name("twistd")), "-n", "--pidfile=", *named, "aibrix-gateway")
        self._log = self._folder / "log"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                (*command, "-c", "gateway.toml"), cwd=self._folder, stdout=log, stderr=log, env=dict(os.environ)
            )
        if descriptors:  # before it has read how many there are: that comes after a second of imports
            resource.prlimit(self._process.pid, resource.RLIMIT_NOFILE, (descriptors, descriptors))

    def _tls(self) -> str:
        issued = Authority(self._folder).issue("localhost", "127.0.0.1")
        self.port = free_port()
        SECURE.add(self.port)
        return (
            f'[tls]\nlisten = ["tcp:{self.port}:interface=127.0.0.1:backlog=4096"]\n'
            f'[[tls.certificate]]\ncert = "{issued.cert}"\nkey = "{issued.key}"\n'
        )

    def __enter__(self) -> Daemon:
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                with Line(self.port) as line:
                    line.send(b"GET /readyz HTTP/1.1\r\nhost: gw\r\n\r\n")
                    if line.answer().status == 200 or not self._ready:
                        return self
            except ConnectionRefusedError:
                pass
            assert self._process.poll() is None and time.monotonic() < deadline, self.log
            time.sleep(0.05)

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._process.send_signal(signal.SIGTERM)
        try:
            code = self._process.wait(PATIENCE_S)
        finally:
            self._process.kill()
        if kind is None:
            assert code == 0, self.log
            assert "Traceback" not in self.log, self.log

    @property
    def log(self) -> str:
        """What it has logged."""
        return self._log.read_text(errors="replace")

    @property
    def descriptors(self) -> int:
        """File descriptors that are open."""
        return len(os.listdir(f"/proc/{self._process.pid}/fd"))

    @property
    def resident_bytes(self) -> int:
        """Its resident memory."""
        return int(Path(f"/proc/{self._process.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    @property
    def cpu_s(self) -> float:
        """Processor time that it took, in seconds."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def metrics(self) -> dict[str, float]:
        """Its metrics, by name and labels as they are written."""
        with Line(self.admin) as line:
            line.send(b"GET /metrics HTTP/1.1\r\nhost: gw\r\nconnection: close\r\n\r\n")
            page = line.answer().body.decode()
        lines = (each.rpartition(" ") for each in page.splitlines() if not each.startswith("#"))
        return {name: float(value) for name, _, value in lines}


def until(condition: Any, seconds: float = PATIENCE_S) -> None:
    """Wait for it."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come to be"
        time.sleep(0.005)
