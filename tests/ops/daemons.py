"""Commands for the gateway and demo engines, and what is asked of them."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

TWISTD = str(Path(sys.executable).with_name("twistd"))


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def gateway(*more: str) -> list[str]:
    """The command that starts one."""
    return [TWISTD, "-n", "--pidfile=", "aibrix-gateway", *more]


def at(port: int) -> str:
    """The endpoint of a port of this machine."""
    return f"tcp:{port}:interface=127.0.0.1"


@contextmanager
def engines(count: int, *more: str) -> Iterator[list[str]]:
    """Demo engines, each a process.

    @return: their URLs.
    """
    ports = [free_port() for _ in range(count)]
    command = [sys.executable, "-m", "aibrix_twisted.demo", "--listen"]
    started = [subprocess.Popen([*command, f"127.0.0.1:{port}", *more], stdout=subprocess.DEVNULL) for port in ports]
    try:
        for port in ports:
            until_listening(port)
        yield [f"http://127.0.0.1:{port}" for port in ports]
    finally:
        for process in started:
            process.kill()
            process.wait()


def until_listening(port: int, seconds: float = 60.0) -> None:
    """Wait for it."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=5).close()
            return
        except OSError:
            assert time.monotonic() < deadline, f"nobody listens on {port}"
            time.sleep(0.05)


def get(port: int, path: str) -> tuple[int, str]:
    """Status and body; 0 while nobody listens."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=30) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()
    except OSError:
        return 0, ""


def document(port: int, path: str) -> Any:
    """The same, of JSON that is there."""
    status, body = get(port, path)
    assert status == 200, (status, body)
    return json.loads(body)
