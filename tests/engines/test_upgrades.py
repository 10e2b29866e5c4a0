"""Beneath two hundred streams of real vLLM: reloads, hand-overs, restarts, workers that are replaced or killed."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engines import processes
from tests.ops.daemons import document
from tests.ops.load import Load, until
from tests.ops.manager import Manager
from tests.ops.test_upgrades import Setting
from tests.ops.test_workers import Workers

pytestmark = pytest.mark.engines

#: Streams that are open while it happens.
STREAMS = 200


@pytest.fixture(scope="module")
def vllm() -> Iterator[str]:
    """One that computes them all at once."""
    running = processes.vllm("--max-num-seqs", "256")
    try:
        yield running.url
    finally:
        running.stop()


class Streams(Load):
    """Two hundred of them, each asked for again when it is over, and short requests beside."""

    def __init__(self, port: int) -> None:
        super().__init__(port, clients=8, streams=STREAMS, tokens=4, stream_tokens=60, model="tiny")

    def open(self) -> None:
        """Wait until all of them have begun."""
        until(lambda: self.begun >= STREAMS, f"{STREAMS} streams; failed: {self.failed[:3]}", 240.0)

    def more_streams(self, count: int) -> None:
        """Wait for so many that end from now on."""
        wanted = self.streams + count
        until(lambda: self.streams >= wanted, f"{count} more streams; failed: {self.failed[:3]}", 240.0)


@pytest.fixture
def setting(tmp_path: Path, vllm: str) -> Setting:
    """Before vLLM."""
    return Setting(tmp_path, [vllm])


def test_a_reload(setting: Setting) -> None:
    """SIGHUP: nothing fails, nothing is cut, nobody is refused."""
    with Manager(setting.command, watchdog_s=60.0) as manager:
        setting.ready()
        with Streams(setting.port) as load:
            load.open()
            manager.send(signal.SIGHUP)
            manager.until(lambda: manager.lines.count("READY=1") == 2, "it has reloaded")
            load.more_streams(STREAMS)
            load.finish()
        assert load.failed == []
        assert manager.stop() == 0


def test_a_hand_over(setting: Setting) -> None:
    """SIGUSR2: the same."""
    with Manager(setting.command, watchdog_s=60.0) as manager:
        setting.ready()
        with Streams(setting.port) as load:
            load.open()
            old = manager.main
            manager.send(signal.SIGUSR2)
            manager.until(lambda: manager.main != old, "the other is the service")
            load.more_streams(STREAMS)
            until(lambda: manager.gone(old), "the old one is over", 240.0)
            load.finish()
        assert load.failed == []
        last = manager.main
        manager.send(signal.SIGTERM)
        manager.until(lambda: manager.gone(last), "it stops")


def test_a_restart_under_socket_activation(setting: Setting) -> None:
    """Stopped and started by a manager that holds the socket: the same."""
    with socket.create_server(("127.0.0.1", setting.port), backlog=1024) as held:
        with Manager(setting.command, sockets=(("data", held),), watchdog_s=60.0) as manager:
            setting.ready()
            with Streams(setting.port) as load:
                load.open()
                assert manager.stop() == 0
                manager.start()
                load.more_streams(STREAMS)
                load.finish()
            assert load.failed == []


def test_workers_are_replaced(tmp_path: Path, vllm: str) -> None:
    """One by one: the same."""
    with Workers(tmp_path, [vllm], 2) as several:
        pids = several.pids()
        with Streams(several.port) as load:
            load.open()
            several.manager.send(signal.SIGUSR2)
            until(lambda: not set(several.pids()) & set(pids), "all are new")
            load.more_streams(STREAMS)
            load.finish()
        assert load.failed == []


def test_one_of_four_is_killed(tmp_path: Path, vllm: str) -> None:
    """Only its own streams break; nobody is refused."""
    with Workers(tmp_path, [vllm], 4) as several:
        with Load(several.port, clients=0, streams=STREAMS, stream_tokens=400, model="tiny", again=False) as load:
            until(lambda: load.begun >= STREAMS, "all have begun", 240.0)
            os.kill(several.pids()[2], signal.SIGKILL)
            with Load(several.port, clients=16, tokens=2, model="tiny") as others:
                others.more(100)
            assert others.failed == []
            load.finish()
        print(f"{len(load.failed)} of {STREAMS} streams broke with one of four workers")
        assert 0 < len(load.failed) < STREAMS / 2
        assert all("IncompleteRead" in failed or "reset" in failed for failed in load.failed), load.failed
        until(lambda: document(several.admin, "/api/stats")["under_way"] == 0, "nothing is left")
