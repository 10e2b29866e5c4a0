"""What is measured: each a process that relays to the scripted engine."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import venv
from pathlib import Path

ROUTER = "vllm-router==0.1.17"


class NotAvailable(Exception):
    """The subject cannot run here; says why."""


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def gateway(port: int, engine: int, folder: Path, policy: str = "least-request") -> list[str]:
    """Ours, with the defaults as they are shipped; its access log goes to a file."""
    config = folder / f"{policy}.toml"
    config.write_text(
        f'policy = "{policy}"\n[access_log]\npath = "{folder / policy}.access"\n'
        f'[[replica]]\nurl = "http://127.0.0.1:{engine}"\n'
    )
    return [
        str(Path(sys.executable).with_name("twistd")), "-n", "--pidfile=", f"--logfile={folder / policy}.twistd",
        "aibrix-gateway", "--config", str(config), "--listen", f"tcp:{port}:interface=127.0.0.1", "--admin", "none",
    ]  # fmt: skip


def prefix_cache(port: int, engine: int, folder: Path) -> list[str]:
    """Ours, where the policy has to know each request's prompt."""
    return gateway(port, engine, folder, "prefix-cache")


def haproxy(port: int, engine: int, folder: Path) -> list[str]:
    """HAProxy as Debian has it, on one thread."""
    binary = shutil.which("haproxy") or "/usr/sbin/haproxy"
    if not Path(binary).exists():
        raise NotAvailable("haproxy is not installed: apt-get install haproxy")
    config = folder / "haproxy.cfg"
    config.write_text(
        "global\n  nbthread 1\n  maxconn 8000\ndefaults\n  mode http\n  option http-no-delay\n  http-reuse always\n"
        "  timeout connect 5s\n  timeout client 600s\n  timeout server 600s\n"
        f"frontend f\n  bind 127.0.0.1:{port}\n  default_backend b\n"
        f"backend b\n  server s 127.0.0.1:{engine}\n"
    )
    return [binary, "-db", "-f", str(config)]


def vllm_router(port: int, engine: int, folder: Path) -> list[str]:
    """vLLM's router in Rust, from PyPI, in an environment of its own."""
    home = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "aibrix-twisted/bench/vllm-router"
    binary = home / "bin/vllm-router"
    if not binary.exists():
        venv.create(home, with_pip=True)
        done = subprocess.run([home / "bin/pip", "install", "-q", ROUTER], check=False)
        if done.returncode:
            raise NotAvailable(f"{ROUTER} could not be installed")
    return [
        str(binary), "--host", "127.0.0.1", "--port", str(port), "--worker-urls", f"http://127.0.0.1:{engine}",
        "--policy", "round_robin", "--prometheus-port", str(free_port()), "--log-level", "error",
    ]  # fmt: skip


SUBJECTS = {"gateway": gateway, "prefix-cache": prefix_cache, "haproxy": haproxy, "vllm-router": vllm_router}


class Running:
    """A process, pinned to one CPU where there are several, ready to be asked."""

    def __init__(self, command: list[str], port: int, cpu: int | None, log: Path) -> None:
        if cpu is not None:
            command = ["taskset", "-c", str(cpu), *command]
        self._log = log.open("wb")
        self.port = port
        self._process = subprocess.Popen(command, stdout=self._log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
        self.pid = self._process.pid
        deadline = time.monotonic() + 60
        while not _answers(port):
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise NotAvailable(f"{command[0]} did not start: {log.read_text()[-500:]}")
            time.sleep(0.1)

    def stop(self) -> None:
        """End it."""
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.close()


def _answers(port: int) -> bool:
    """Whether a request for chat gets its answer."""
    body = b'{"model":"bench","messages":[],"max_tokens":1}'
    try:
        with socket.create_connection(("127.0.0.1", port), 1) as peer:
            peer.settimeout(1)
            peer.sendall(
                b"POST /v1/chat/completions HTTP/1.1\r\nhost: bench\r\nconnection: close\r\n"
                b"content-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)
            )
            return peer.recv(4096).startswith(b"HTTP/1.1 200")
    except OSError:
        return False
