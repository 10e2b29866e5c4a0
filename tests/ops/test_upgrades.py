"""Reloads, restarts and hand-overs beneath clients who never stop asking: nobody notices."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.ops.daemons import at, document, engines, free_port, gateway, get
from tests.ops.load import Load, until
from tests.ops.manager import Manager


@pytest.fixture
def fleet() -> Iterator[list[str]]:
    """Two engines that take their time."""
    with engines(2, "--prefill", "0", "--decode", "50", "--batch", "64") as urls:
        yield urls


class Setting:
    """A gateway's configuration, and where it listens."""

    def __init__(self, folder: Path, fleet: list[str], *, more: str = "") -> None:
        self.port, self.admin = free_port(), free_port()
        self.path = folder / "gateway.toml"
        self.text = f'listen = ["{at(self.port)}"]\nadmin = "{at(self.admin)}"\n[access_log]\npath = ""\n'
        # Engines and clients share its processors: late for want of one, it is not to refuse anybody.
        self.text += f"[limits]\nreactor_lag = 0.0\n{more}"
        self.text += "".join(f'[[replica]]\nurl = "{url}"\n' for url in fleet)
        self.path.write_text(self.text)
        self.command = gateway("-c", str(self.path))

    def ready(self) -> None:
        """Wait until it serves."""
        until(lambda: get(self.port, "/readyz")[0] == 200, "it can serve")


@pytest.fixture
def setting(tmp_path: Path, fleet: list[str]) -> Setting:
    """One before these engines."""
    return Setting(tmp_path, fleet)


def test_a_hand_over(setting: Setting) -> None:
    """Two, one after the other: the new process serves, the old one finishes what it has, and nothing fails."""
    with Manager(setting.command, watchdog_s=30.0) as manager:
        setting.ready()
        with Load(setting.port, clients=8, streams=12, stream_tokens=150) as load:
            for _ in range(2):
                load.more(20)
                old = manager.main
                manager.send(signal.SIGUSR2)
                manager.until(lambda old=old: manager.main != old, "the other is the service")
                load.more(20)
                manager.until(lambda old=old: manager.gone(old), "the old one is over")
                manager.until(lambda: manager.last("STATUS").startswith("serving: "), "the new one speaks")
            load.finish()
        assert load.failed == []
        assert load.streams >= 24
        assert not [line for line in manager.lines if line.startswith("REFUSED")]
        assert manager.lines.count("READY=1") == 3
        told = len(manager.told)
        assert list(manager.store) == [f"stored-tcp%2F127.0.0.1%2F{port}" for port in (setting.port, setting.admin)]
        manager.until(lambda: any("WATCHDOG=1" in message for message in manager.told[told:]), "it is fed")
        last = manager.main
        manager.send(signal.SIGTERM)
        manager.until(lambda: manager.gone(last), "it stops")


def test_the_admin_listener_is_handed_over(setting: Setting) -> None:
    """At once, whatever the old process still has to do; a connection that was kept is closed."""
    with Manager(setting.command) as manager:
        setting.ready()
        with Load(setting.port, clients=0, streams=1, stream_tokens=400, again=False) as load:
            until(lambda: load.begun, "it streams")
            with socket.create_connection(("127.0.0.1", setting.admin), timeout=60) as kept:
                kept.sendall(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n")
                said = b""
                while not said.endswith(b"}"):
                    said += kept.recv(65536)
                assert document(setting.admin, "/api/stats")["under_way"] == 1
                old = manager.main
                manager.send(signal.SIGUSR2)
                manager.until(lambda: manager.main != old, "the other is the service")
                assert kept.recv(65536) == b""
            until(lambda: document(setting.admin, "/api/stats")["under_way"] == 0, "the other is asked")
            assert not manager.gone(old)
        assert load.failed == []
        manager.until(lambda: manager.gone(old), "the old one is over")


def test_a_stop_after_a_hand_over(tmp_path: Path, fleet: list[str]) -> None:
    """Ends both: what the old process has still to do is given as long as a drain is, and no longer."""
    setting = Setting(tmp_path, fleet, more="[timeouts]\ndrain = 1.0\n")
    with Manager(setting.command) as manager:
        setting.ready()
        with Load(setting.port, clients=0, streams=1, stream_tokens=4000, again=False) as load:
            until(lambda: load.begun, "it streams")
            old = manager.main
            manager.send(signal.SIGUSR2)
            manager.until(lambda: manager.main != old and manager.lines.count("READY=1") == 2, "the other serves")
            new = manager.main
            manager.send(signal.SIGTERM)
            manager.until(lambda: manager.gone(new) and manager.gone(old), "both are over")
        assert len(load.failed) == 1
        assert "gateway_draining" in load.failed[0]


def test_a_new_process_that_does_not_start(setting: Setting) -> None:
    """The old one serves as before, and says why: a file that cannot be used, a port that is taken."""
    with Manager(setting.command) as manager:
        setting.ready()
        old = manager.main
        with Load(setting.port, clients=4, streams=2) as load, socket.create_server(("127.0.0.1", 0)) as taken:
            other = taken.getsockname()[1]
            for text, why in (
                ("nonsense = 1\n", "nonsense: found an unknown key"),
                (setting.text.replace(at(setting.admin), at(other)), "it ended with exit code 1"),
            ):
                setting.path.write_text(text)
                told = len(manager.told)
                manager.send(signal.SIGUSR2)
                manager.until(lambda told=told: len(manager.told) > told, "it says why")
                assert "; not handed over: " in manager.last("STATUS")
                manager.until(lambda why=why: why in manager.last("STATUS"), why)
                load.more(20)
            assert f"Couldn't listen on 127.0.0.1:{other}" in manager.log.read_text()
            setting.path.write_text(setting.text)
            manager.send(signal.SIGUSR2)
            manager.until(lambda: manager.main != old, "it works when it can")
            load.more(20)
            load.finish()
        assert load.failed == []


def _restart(setting: Setting, manager: Manager) -> None:
    """Under load, of which nothing fails."""
    setting.ready()
    with Load(setting.port, clients=8, streams=8) as load:
        load.more(20)
        assert manager.stop() == 0
        manager.start()
        load.more(60)
        load.finish()
    assert load.failed == []


def test_a_restart_under_socket_activation(setting: Setting) -> None:
    """Who connects while nobody runs waits in systemd's socket, and is served; what was under way was finished."""
    with socket.create_server(("127.0.0.1", setting.port), backlog=512) as held:
        with Manager(setting.command, sockets=(("data", held),)) as manager:
            _restart(setting, manager)


def test_a_restart_with_stored_sockets(setting: Setting) -> None:
    """The same without a socket of systemd's own: it keeps ours."""
    with Manager(setting.command) as manager:
        _restart(setting, manager)


def test_a_reload(setting: Setting) -> None:
    """Of a file that is good, of one that is not, and of one with a replica less."""
    with Manager(setting.command) as manager:
        setting.ready()
        with Load(setting.port, clients=8, streams=8) as load:
            load.more(20)
            for text in (setting.text, "nonsense = 1\n", setting.text[: setting.text.rindex("[[replica]]")]):
                setting.path.write_text(text)
                manager.send(signal.SIGHUP)
                load.more(40)
            load.finish()
        assert load.failed == []
        assert manager.stop() == 0


def test_a_load_balancer_is_told_first(tmp_path: Path, fleet: list[str]) -> None:
    """With C{unready}, /readyz says no while new connections are still taken, and served; then they are refused."""
    setting = Setting(tmp_path, fleet, more="[timeouts]\nunready = 3.0\n")
    with Manager(setting.command) as manager:
        setting.ready()
        manager.send(signal.SIGTERM)
        until(lambda: get(setting.port, "/readyz") == (503, '{"status":"not ready","reason":"draining"}'), "it says no")
        with Load(setting.port, clients=1) as load:
            load.more(3)
        assert load.failed == []
        until(lambda: manager.gone(manager.main), "it ends")


def test_a_unix_socket_is_handed_over(tmp_path: Path) -> None:
    """Its name stays where it is, from process to process, and goes with the last."""
    path = tmp_path / "gateway.sock"
    config = tmp_path / "gateway.toml"
    config.write_text(f'listen = ["unix:{path}"]\nadmin = "none"\n[access_log]\npath = ""\n')
    with Manager(gateway("-c", str(config))) as manager:
        for _ in range(2):
            old = manager.main
            manager.send(signal.SIGUSR2)
            manager.until(lambda old=old: manager.main != old and manager.gone(old), "the other is the service")
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(str(path))
                client.sendall(b"GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
                assert client.recv(65536).startswith(b"HTTP/1.1 200 ")
        last = manager.main
        os.kill(last, signal.SIGTERM)
        manager.until(lambda: manager.gone(last), "it stops")
        assert not path.exists()
