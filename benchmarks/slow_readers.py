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
from multiprocessing import Event, Process, Value
from pathlib import Path
from statistics import median, quantiles

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


def engine(model: str, folder: Path, prefill: float) -> tuple[list[str], int, int | None, Path]:
    """A simulated one, as L{Running} takes it."""
    port = free_port()
    command = [
        sys.executable, "-m", "aibrix_twisted.demo", "--listen", f"127.0.0.1:{port}", "--prefill", str(prefill),
        "--decode", "0", "--batch", "100000", "--model", model, *(() if model == FAST else ("--model", FAST)),
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


def p99(port: int, count: int) -> float:
    """Of so many clients, one after the other; the median of five rounds, for others use this machine, too.  The first
    ones, who find everything cold, do not count."""
    for _ in range(50):
        ttft(port)
    return median(quantiles([ttft(port) for _ in range(count)], n=100)[98] for _ in range(5))


class SlowClients:
    """In a process of their own: each takes four kilobytes a second, at a time of its own."""

    def __init__(self, port: int, count: int, buffer: int) -> None:
        self._count = count
        self._buffer = buffer
        self.taken = Value("q", 0)
        self.closed = Value("q", 0)
        self.all_there = Event()
        self._process = Process(target=self._run, args=(port,), daemon=True)
        self._process.start()

    def stop(self) -> None:
        """All of them leave."""
        self._process.terminate()
        self._process.join()

    def _connected(self, port: int) -> socket.socket:
        peer = socket.socket()
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self._buffer // 2)  # the kernel doubles it
        peer.connect(("127.0.0.1", port))
        peer.sendall(request(SLOW, f"flood={ANSWER_BYTES}"))
        peer.setblocking(False)
        return peer

    def _run(self, port: int) -> None:
        peers = []
        for number in range(self._count):
            peers.append(self._connected(port))
            if number % 50 == 49:
                time.sleep(0.05)
        self.all_there.set()
        begun, reads = time.monotonic(), 0
        while True:
            time.sleep(0.001)
            due = int((time.monotonic() - begun) * self._count)
            while reads < due:
                self._read(peers[reads % len(peers)])
                reads += 1

    def _read(self, peer: socket.socket) -> None:
        try:
            data = peer.recv(4096)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        self.taken.value += len(data)
        self.closed.value += not data


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, default=2000)
    parser.add_argument("--memory", type=int, default=256 << 20)
    parser.add_argument("--fast", type=int, default=2000, help="clients that keep up, each round")
    parser.add_argument("--prefill", type=float, default=0.0, help="prompt tokens a second of the engines; 0: no wait")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        port = free_port()
        engines = {model: Running(*engine(model, home, given.prefill)) for model in (SLOW, FAST)}
        ports = {model: running.port for model, running in engines.items()}
        proxy = Running(gateway(port, ports, home, given.memory), port, None, home / "gateway.log")
        slow = None
        try:
            before, idle = p99(port, given.fast), pss_bytes(proxy.pid)
            slow = SlowClients(port, given.clients, 65536)
            slow.all_there.wait(60)
            peak = 0
            deadline = time.monotonic() + 15
            while time.monotonic() < deadline:
                time.sleep(0.1)
                peak = max(peak, pss_bytes(proxy.pid))
            during = p99(port, given.fast)
            peak = max(peak, pss_bytes(proxy.pid))
        finally:
            if slow is not None:
                slow.stop()
            proxy.stop()
            for running in engines.values():
                running.stop()
    bound = given.memory * 1.25
    print(f"{given.clients} slow clients, {slow.taken.value / 1e6:.1f} MB taken, "
          f"{slow.closed.value} of their reads met a close")  # fmt: skip
    print(f"memory: {idle / 2**20:.0f} MiB idle, {peak / 2**20:.0f} MiB at the most; bound {bound / 2**20:.0f} MiB")
    print(f"TTFT p99 of those who keep up: {before * 1e3:.2f} ms before, {during * 1e3:.2f} ms meanwhile, "
          f"x {during / before:.2f}")  # fmt: skip


if __name__ == "__main__":
    main()
