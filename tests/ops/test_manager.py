"""Under a service manager: what it is told, what it hands over, and when it loses its patience."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from tests.ops.daemons import TWISTD, at, document, engines, free_port, gateway, get
from tests.ops.manager import Manager


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A configuration, with no replica."""
    path = tmp_path / "gateway.toml"
    path.write_text('admin = "none"\n[access_log]\npath = ""\n')
    return path


def test_what_it_is_told(config: Path) -> None:
    """That it is ready, how it is, that it reloads and has reloaded or not, that it stops; nothing by anyone else."""
    with engines(1) as (url,):
        command = gateway("--listen", at(port := free_port()), "--replica", url, "-c", str(config))
        with Manager(command, watchdog_s=60.0) as manager:
            assert manager.told[0][0] in {"READY=1", "FDSTORE=1"}
            manager.until(lambda: manager.last("STATUS") == "serving: 0 in flight, 1 of 1 replicas up", "it is up")
            assert get(port, "/readyz")[0] == 200
            manager.until(lambda: "WATCHDOG=1" in manager.lines, "it says that it lives")
            told = len(manager.told)
            manager.send(signal.SIGHUP)
            manager.until(lambda: len([line for line in manager.lines if line == "READY=1"]) == 2, "it has reloaded")
            begun = next(message for message in manager.told[told:] if message[0] == "RELOADING=1")
            assert begun[1].startswith("MONOTONIC_USEC=")
            config.write_text("nonsense = 1\n")
            manager.send(signal.SIGHUP)
            manager.until(lambda: "; not reloaded: " in manager.last("STATUS"), "it says why not")
            assert "nonsense" in manager.last("STATUS")
            assert get(port, "/readyz")[0] == 200
            assert manager.stop() == 0
            manager.until(lambda: "STOPPING=1" in manager.lines, "it says that it stops")
            assert int(manager.last("EXTEND_TIMEOUT_USEC")) > 10_000_000
            assert not [line for line in manager.lines if line.startswith("REFUSED")]


def test_a_watchdog_of_seconds_is_fed_in_time(config: Path) -> None:
    """However impatient it is."""
    command = gateway("--listen", at(free_port()), "-c", str(config))
    with Manager(command, watchdog_s=3.0) as manager:
        fed = manager.lines.count("WATCHDOG=1")
        manager.until(lambda: manager.lines.count("WATCHDOG=1") >= fed + 6, "it is fed again and again")
        assert manager.barked == 0


def test_a_reactor_that_is_blocked(config: Path) -> None:
    """The process says where it hangs, is ended, and another one serves; nothing of the queue is lost meanwhile."""
    port = free_port()
    command = gateway("--listen", at(port), "-c", str(config))
    with Manager(command, watchdog_s=5.0, hangs=True) as manager:
        first = manager.main
        assert get(port, "/healthz") == (200, '{"status":"ok"}')
        manager.send(signal.SIGUSR1)
        answer = get(port, "/healthz")  # asked of a gateway that hangs; its successor answers it
        assert answer == (200, '{"status":"ok"}')
        assert manager.barked == 1
        assert manager.main != first
        said = manager.log.read_text()
        assert "the reactor has not turned" in said
        assert "hang_here" in said
        assert "Fatal Python error: Aborted" in said
        assert manager.stop() == 0


def test_sockets_of_systemd(config: Path) -> None:
    """By the address that is configured, by name, or by index; and what is not there is named."""
    with socket.create_server(("127.0.0.1", 0)) as first, socket.create_server(("127.0.0.1", 0)) as second:
        one, two = (each.getsockname()[1] for each in (first, second))
        passed = (("aibrix-gateway.socket", first), ("more", second))
        for listen in ((at(one), "systemd:domain=INET:name=more"), ("systemd:domain=INET:index=0", at(two))):
            flags = [word for endpoint in listen for word in ("--listen", endpoint)]
            with Manager(gateway(*flags, "-c", str(config)), sockets=passed) as manager:
                assert [get(port, "/healthz")[0] for port in (one, two)] == [200, 200]
                assert manager.store == {}, "systemd has them already"
                assert manager.stop() == 0
        wrong = subprocess.run(
            gateway("--listen", "systemd:domain=INET:name=more", "-c", str(config)),
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert wrong.returncode == 2
        assert wrong.stderr == "systemd passed no socket of the name 'more'; it passed: none\n"


def test_sockets_that_were_stored(config: Path) -> None:
    """What it opened itself is kept for the next one, and what is not wanted any more is let go of."""
    port, other = free_port(), free_port()
    with Manager(gateway("--listen", at(port), "-c", str(config))) as manager:
        manager.until(lambda: manager.store, "the socket is stored")
        assert list(manager.store) == [f"stored-tcp%2F127.0.0.1%2F{port}"]
        assert manager.stop() == 0
        with socket.create_connection(("127.0.0.1", port), timeout=60) as client:  # nobody is there, and it connects
            client.sendall(b"GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
            manager.start()
            assert client.recv(65536).startswith(b"HTTP/1.1 200 ")
        assert list(manager.store) == [f"stored-tcp%2F127.0.0.1%2F{port}"]
        manager._command = gateway("--listen", at(other), "-c", str(config))
        assert manager.stop() == 0
        manager.start()
        manager.until(lambda: list(manager.store) == [f"stored-tcp%2F127.0.0.1%2F{other}"], "the other is stored")
        assert get(port, "/healthz")[0] == 0
        assert get(other, "/healthz")[0] == 200


def test_unix_sockets(config: Path, tmp_path: Path) -> None:
    """A name that a process left behind which was killed is taken; one that somebody listens on is not."""
    path = tmp_path / "gateway.sock"
    command = gateway("--listen", f"unix:{path}", "-c", str(config))
    with Manager(command) as manager:
        again = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert again.returncode == 1
        assert "Address already in use" in again.stdout + again.stderr
        manager.send(signal.SIGKILL)
        manager.until(lambda: manager.gone(manager.main), "it is gone")
        for held in manager.store.values():
            held.close()
        manager.store.clear()
        assert path.exists()
        manager.start()
        manager.until(lambda: manager.store, "it listens again")
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))
            client.sendall(b"GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
            assert client.recv(65536).startswith(b"HTTP/1.1 200 ")
        assert manager.stop() == 0
        assert not path.exists()


def test_nobody_to_tell(config: Path, tmp_path: Path) -> None:
    """A manager that is gone, or an address that is none, is no reason not to serve."""
    port = free_port()
    for address in (str(tmp_path / "nobody"), "vsock:1:2", ""):
        process = subprocess.Popen(
            [TWISTD, *gateway("--listen", at(port), "-c", str(config))[1:]],
            env={**os.environ, "NOTIFY_SOCKET": address}, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT,
        )  # fmt: skip
        try:
            while get(port, "/healthz")[0] != 200:
                assert process.poll() is None
        finally:
            process.terminate()
            assert process.wait(60) == 0


def test_systemctl_status_follows(config: Path) -> None:
    """The status is what is so: in flight, replicas up, and that it drains."""
    with engines(1, "--decode", "20", "--prefill", "0") as (url,):
        port, admin = free_port(), free_port()
        config.write_text('[access_log]\npath = ""\n')
        command = gateway("--listen", at(port), "--admin", at(admin), "--replica", url, "-c", str(config))
        with Manager(command) as manager:
            manager.until(lambda: get(port, "/readyz")[0] == 200, "it can serve")
            with socket.create_connection(("127.0.0.1", port), timeout=60) as client:
                body = (
                    b'{"model":"demo-model","stream":true,"max_tokens":60,"messages":[{"role":"user","content":"x"}]}'
                )
                client.sendall(
                    b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
                    b"content-length: %d\r\n\r\n%b" % (len(body), body)
                )
                manager.until(lambda: "serving: 1 in flight" in manager.last("STATUS"), "it is in flight")
                manager.send(signal.SIGTERM)
                manager.until(lambda: "draining: 1 in flight" in manager.last("STATUS"), "it drains")
                status, said = get(admin, "/readyz")
                assert (status, "draining" in said) == (503, True)
                assert document(admin, "/api/stats")["draining"]
                received = b""
                while data := client.recv(65536):
                    received += data
            assert b"data: [DONE]" in received
            manager.until(lambda: manager.gone(manager.main), "it ends")
