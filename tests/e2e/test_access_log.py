"""The access log of a gateway in a process of its own: rotated under load, and before a reader that stops reading."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
from pytest_twisted import ensureDeferred
from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import deferLater

from tests.e2e.client import ask, chat, connect
from tests.e2e.harness import free_port

TWISTD = str(Path(sys.executable).with_name("twistd"))
COMMAND = str(Path(sys.executable).with_name("aibrixctl"))

#: For a process to come up or to go down on a busy machine.
PATIENCE_S = 30.0


class Daemon:
    """C{twistd aibrix-gateway --demo}, that logs to C{path}."""

    def __init__(self, path: str, **process: Any) -> None:
        self.beside: list[subprocess.Popen[bytes]] = []
        self.folder = Path(tempfile.mkdtemp())
        self.port, self.admin = free_port(), free_port()
        self.path = path.format(folder=self.folder)
        self.config = self.folder / "gateway.toml"
        self.config.write_text(
            f'listen = ["tcp:{self.port}:interface=127.0.0.1"]\nadmin = "tcp:{self.admin}:interface=127.0.0.1"\n'
            f'[access_log]\npath = "{self.path}"\n'
        )
        command = (TWISTD, "-n", "--pidfile=", f"--logfile={self.folder}/daemon.log")
        self.process = subprocess.Popen(
            (*command, "aibrix-gateway", "-c", str(self.config), "--demo"), cwd=self.folder, **process
        )

    async def __aenter__(self) -> Daemon:
        await until(self.listens)
        while (await ask(self.port, "/readyz", method="GET")).status != 200:
            await deferLater(reactor, 0.05)
        return self

    async def __aexit__(self, *exc: object) -> None:
        for process in self.beside:
            process.terminate()
        if self.process.poll() is None:
            await self.stop()
        await until(lambda: all(process.poll() is not None for process in self.beside))

    def listens(self) -> bool:
        """It has said that it serves."""
        assert self.process.poll() is None, self.said
        return "serving clients" in self.said

    @property
    def said(self) -> str:
        """Its own log."""
        path = self.folder / "daemon.log"
        return path.read_text() if path.exists() else ""

    async def stop(self) -> int:
        """As systemd does it.

        @return: the exit code.
        """
        self.process.send_signal(signal.SIGTERM)
        await until(lambda: self.process.poll() is not None)
        return self.process.returncode

    async def counted(self, name: str) -> float:
        """A metric's value."""
        text = (await ask(self.admin, "/metrics", method="GET")).body.decode()
        return next(float(line.split()[-1]) for line in text.splitlines() if line.startswith(f"{name} "))


async def until(condition: Callable[[], object]) -> None:
    """Wait for it."""
    deadline = reactor.seconds() + PATIENCE_S
    while not condition():
        assert reactor.seconds() < deadline, "it did not come to be"
        await deferLater(reactor, 0.02)


async def load(port: int, name: str, going: Callable[[], bool], *, models: bool = False) -> list[str]:
    """A client that never stops asking.

    @param models: for what needs no engine.
    @return: the ids of its requests.
    """
    client, ids = await connect(port), list[str]()
    while going():
        ids.append(f"{name}-{len(ids)}")
        headers = {"x-request-id": ids[-1]}
        if models:
            answer = await client.request("/v1/models", method="GET", headers=headers)
        else:
            answer = await client.request("/v1/chat/completions", chat(tokens=1), headers=headers)
        assert answer.whole
    client.transport.loseConnection()
    await client.closed
    return ids


@ensureDeferred
async def test_rotated_under_load() -> None:
    """Moved away again and again, with a configuration that is good and one that is not: every line once, and whole;
    and whoever follows it with C{aibrixctl} has them all, too.
    """
    async with Daemon("{folder}/access.log") as daemon:
        path, rotated, rotating = Path(daemon.path), list[Path](), True
        assert path.stat().st_mode & 0o777 == 0o640
        followed = daemon.folder / "followed"
        with followed.open("wb") as file:
            command = (COMMAND, "logs", "--json", "--follow", "--since", "1h", daemon.path)
            follower = subprocess.Popen(command, stdout=file)
        daemon.beside.append(follower)
        await until(lambda: followed.stat().st_size)
        clients = [Deferred.fromCoroutine(load(daemon.port, f"c{n}", lambda: rotating)) for n in range(4)]
        good = daemon.config.read_text()
        for number in range(12):
            daemon.config.write_text("nonsense = 1\n" if number % 3 == 2 else good)
            rotated.append(path.rename(daemon.folder / f"access.log.{number}"))
            daemon.process.send_signal(signal.SIGHUP)
            await until(path.exists)
            await until(lambda: path.stat().st_size)
            await until(lambda: followed.read_bytes().count(b"\n") > _count(rotated))  # it looks four times a second
        rotating = False
        asked = [id for ids in await gatherResults(clients, consumeErrors=True) for id in ids]
        assert await daemon.stop() == 0, daemon.said
        logged = [
            id
            for file in (*rotated, path)
            for line in file.read_bytes().splitlines()
            if (id := orjson.loads(line)["id"]).startswith("c")
        ]
        assert sorted(logged) == sorted(asked)
        assert len(asked) > 100
        await until(lambda: followed.read_bytes().count(b"\n") >= _count([*rotated, path]))
        assert followed.read_bytes() == b"".join(file.read_bytes() for file in (*rotated, path))
        assert min(file.stat().st_size for file in rotated[1:]) > 0
        assert "not reloaded" in daemon.said


@ensureDeferred
async def test_a_reader_that_stops_reading() -> None:
    """Requests go on; what it missed comes when it reads again; and the gateway can be stopped while it does not."""
    reader, writer = os.pipe()
    try:
        async with Daemon("-", stdout=writer) as daemon:
            os.close(writer)
            asked = await load(
                daemon.port, "c", _times(400), models=True
            )  # some two hundred of these lines fill a pipe
            assert await daemon.counted("aibrix_gateway_access_log_dropped_total") == 0
            got = bytearray()
            while f'"{asked[-1]}"'.encode() not in got:
                got += os.read(reader, 1 << 16)
            ids = [orjson.loads(line)["id"] for line in got.splitlines() if line.startswith(b"{")]
            assert [id for id in ids if id.startswith("c-")] == asked
            await load(daemon.port, "d", _times(400), models=True)
            assert await daemon.stop() == 0, daemon.said
            assert "lines of the access log - are lost" in daemon.said
    finally:
        os.close(reader)


def _count(files: list[Path]) -> int:
    return sum(file.read_bytes().count(b"\n") for file in files)


def _times(count: int) -> Callable[[], bool]:
    left = iter(range(count))
    return lambda: next(left, None) is not None
