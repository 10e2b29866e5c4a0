"""C{aibrixctl top} on a real terminal, with load, and a replica that dies."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest
from pytest_twisted import ensureDeferred
from twisted.internet import reactor
from twisted.internet.task import deferLater
from twisted.internet.utils import getProcessOutputAndValue

from tests.e2e.fleet import Fleet, Load

COMMAND = str(Path(sys.executable).with_name("aibrixctl"))

#: Within which a dead replica is to be seen.
SEEN_S = 2.0

#: How often it is tried on a machine that may have something else to do.
TRIES = 3


class Terminal:
    """A terminal of tmux's, in a server of its own."""

    def __init__(self, *command: str) -> None:
        tmux = shutil.which("tmux")
        if tmux is None:
            pytest.skip("tmux is not installed: apt-get install tmux")
        self._tmux = (tmux, "-L", f"aibrix-{os.getpid()}", "-f", "/dev/null")
        self._command = command

    async def __aenter__(self) -> Terminal:
        await self.run("new-session", "-d", "-s", "top", "-x", "150", "-y", "40", *self._command)
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.run("kill-server")

    async def run(self, *words: str) -> tuple[int, str]:
        """One of tmux's commands: its exit code, and what it printed."""
        environment = {**os.environ, "LC_ALL": "C.UTF-8"}
        out, _, code = await getProcessOutputAndValue(self._tmux[0], (*self._tmux[1:], *words), env=environment)
        return code, out.decode()

    async def screen(self) -> list[str]:
        """The lines that it shows."""
        return (await self.run("capture-pane", "-p", "-t", "top"))[1].splitlines()

    async def until(self, *parts: str, seconds: float = 20.0) -> float:
        """Wait for a line that has all of these.

        @return: for how long.
        """
        began = reactor.seconds()
        while True:
            lines = await self.screen()
            if any(all(part in line for part in parts) for line in lines):
                return float(reactor.seconds() - began)
            assert reactor.seconds() - began < seconds, "\n".join((f"no line with {parts}", *lines))
            await deferLater(reactor, 0.05)


@ensureDeferred
async def test_a_replica_dies_before_ones_eyes() -> None:
    """The screen says within two seconds that it is down, and that it is up when it is back; q ends it."""
    async with Fleet(0, 1) as world, Load(world) as load:
        await load.until_served_by("e0")
        admin = f"http://127.0.0.1:{world.admin}"
        async with Terminal(COMMAND, "--admin", admin, "top") as terminal:
            await terminal.until("e0", "up")
            await terminal.until("demo-model", "2/2")
            waited = []
            while not waited or (min(waited) > SEEN_S and len(waited) < TRIES):
                await world.stop(0)
                waited.append(await terminal.until("e0", "down"))
                await terminal.until("demo-model", "1/2")
                world.start(0)
                await terminal.until("e0", "up")
            assert min(waited) <= SEEN_S, waited
            lines = await terminal.screen()
            assert lines[0].startswith("aibrix-gateway"), lines
            assert any("requests" in line and "/s (in 60 s" in line for line in lines), lines
            assert "TTFT" in "\n".join(lines)
            await terminal.run("send-keys", "-t", "top", "q")
            began = reactor.seconds()
            while (await terminal.run("has-session", "-t", "top"))[0] == 0:
                assert reactor.seconds() - began < 10.0, await terminal.screen()
                await deferLater(reactor, 0.05)
