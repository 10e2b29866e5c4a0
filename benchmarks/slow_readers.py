"""C{python -m benchmarks.slow_readers}: thousands of clients that read slowly, one memory budget, and who reads fast.

Each slow client asks for an answer of 100 MB, has a receive buffer of 64 KiB, and takes a few kilobytes a second.  What
is printed is the gateway's memory before and with them, and the time to first token of clients that keep up, and have
an engine of their own, before and meanwhile.
"""

from __future__ import annotations

import argparse
import socket
import sys
import tempfile
import time
from pathlib import Path
from statistics import quantiles
from typing import Any

from benchmarks.process_cost import pss_bytes
from benchmarks.subjects import Running, free_port

ANSWER_BYTES = 100_000_000
#: Of the engine whose answers are read slowly, and of the other.
SLOW, FAST = "slow", "bench"


def request(model: str, fault: str = "") -> bytes:
    """A chat that streams."""
    body = b'{"model":"%b","stream":true,"max_tokens":4,"messages":[{"role":"user","content":"hi"}]}' % model.encode()
    lines = f"x-demo-fault: {fault}\r\n" if fault else ""
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: b\r\ncontent-length: {len(body)}\r\n{lines}\r\n"
    return head.encode() + body


def gateway(port: int, engines: dict[str, int], folder: Path, memory: int) -> list[str]:
    """Ours, with a bound."""
    config = folder / "gateway.toml"
    config.write_text(
        f'[access_log]\npath = ""\n[limits]\nmemory_bytes = {memory}\n[timeouts]\nclient_stall = 600.0\n'
        + "".join(
            f'[[replica]]\nurl = "http://127.0.0.1:{engine}"\nmodels = ["{model}"]\n'
            for model, engine in engines.items()
        )
    )
    return [
        str(Path(sys.executable).with_name("twistd")), "-n", "--pidfile=", f"--logfile={folder / 'twistd.log'}",
        "aibrix-gateway", "--config", str(config), "--listen", f"tcp:{port}:interface=127.0.0.1", "--admin", "none",
    ]  # fmt: skip


def engine(model: str, folder: Path) -> tuple[list[str], int, int | None, Path]:
    """A simulated one that takes no time, as L{Running} takes it."""
    port = free_port()
    command = [
        sys.executable, "-m", "aibrix_twisted.demo", "--listen", f"127.0.0.1:{port}", "--prefill", "0", "--decode", "0",
        "--batch", "100000", "--model", model, *(() if model == FAST else ("--model", FAST)),
    ]  # fmt: skip
    return command, port, None, folder / f"{model}.log"


def ttft(port: int) -> float:
    """Of one client that keeps up, in seconds."""
    with socket.create_connection(("127.0.0.1", port), 30) as peer:
        begun = time.perf_counter()
        peer.sendall(request(FAST))
        data = b""
        while b"data:" not in data:
            piece = peer.recv(65536)
            if not piece:
                raise ConnectionError(f"no stream: {data[:300]!r}")
            data += piece
        return time.perf_counter() - begun


def p99(port: int, count: int, between: Any = None) -> float:
    """Of so many clients, one after the other."""
    times = []
    for _ in range(count):
        times.append(ttft(port))
        if between is not None:
            between()
    return quantiles(times, n=100)[98]


class SlowClients:
    """Each takes C{read} bytes once a round."""

    def __init__(self, port: int, count: int, buffer: int, read: int) -> None:
        self._read = read
        self._peers = []
        self.taken = 0
        self.closed = 0
        self._next = 0
        for number in range(count):
            peer = socket.socket()
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer // 2)  # the kernel doubles it
            peer.connect(("127.0.0.1", port))
            peer.sendall(request(SLOW, f"flood={ANSWER_BYTES}"))
            peer.setblocking(False)
            self._peers.append(peer)
            if number % 50 == 49:
                time.sleep(0.05)

    def turn(self, count: int) -> None:
        """So many of them read."""
        for _ in range(count):
            peer = self._peers[self._next % len(self._peers)]
            self._next += 1
            try:
                data = peer.recv(self._read)
            except BlockingIOError:
                continue
            except OSError:
                data = b""
            self.taken += len(data)
            self.closed += not data

    def close(self) -> None:
        """All of them leave."""
        for peer in self._peers:
            peer.close()


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, default=2000)
    parser.add_argument("--memory", type=int, default=256 << 20)
    parser.add_argument("--fast", type=int, default=200, help="clients that keep up, each time")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        port = free_port()
        engines = {model: Running(*engine(model, home)) for model in (SLOW, FAST)}
        ports = {model: running.port for model, running in engines.items()}
        proxy = Running(gateway(port, ports, home, given.memory), port, None, home / "gateway.log")
        try:
            idle = pss_bytes(proxy.pid)
            before = p99(port, given.fast)
            slow = SlowClients(port, given.clients, 65536, 4096)
            peak = 0
            deadline = time.monotonic() + 15
            while time.monotonic() < deadline:
                slow.turn(200)
                time.sleep(0.1)
                peak = max(peak, pss_bytes(proxy.pid))
            during = p99(port, given.fast, lambda: slow.turn(20))
            peak = max(peak, pss_bytes(proxy.pid))
            slow.close()
        finally:
            proxy.stop()
            for running in engines.values():
                running.stop()
    bound = given.memory * 1.25
    print(f"{given.clients} slow clients, {slow.taken / 1e6:.1f} MB taken, {slow.closed} of their reads met a close")
    print(f"memory: {idle / 2**20:.0f} MiB idle, {peak / 2**20:.0f} MiB at the most; bound {bound / 2**20:.0f} MiB")
    print(f"TTFT p99 of those who keep up: {before * 1e3:.2f} ms before, {during * 1e3:.2f} ms meanwhile, "
          f"x {during / before:.2f}")  # fmt: skip


if __name__ == "__main__":
    main()
