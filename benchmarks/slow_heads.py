"""C{python -m benchmarks.slow_heads}: thousands of connections whose heads never end, and who asks beside them.

Each hostile connection sends the beginning of a head, and then a byte every few seconds, at a time of its own; one that
is closed comes again at once, so that there are as many all the time.  What is printed is the time that answers took of
clients that ask as one does, before and meanwhile; the gateway's memory; and how long hostile connections were there
after they were left alone: its header timeout is C{--timeout}.
"""

from __future__ import annotations

import argparse
import contextlib
import resource
import select
import socket
import sys
import tempfile
import time
from multiprocessing import Event, Process, Queue
from pathlib import Path
from statistics import quantiles
from typing import Any

from benchmarks.process_cost import pss_bytes
from benchmarks.subjects import Running, free_port

BODY = b'{"model":"bench","max_tokens":1,"messages":[{"role":"user","content":"hi"}]}'
REQUEST = b"POST /v1/chat/completions HTTP/1.1\r\nhost: b\r\ncontent-length: %d\r\n\r\n%b" % (len(BODY), BODY)
BEGINNING = b"POST /v1/chat/completions HTTP/1.1\r\nhost: b\r\nx-slow: "


class Hostile:
    """A process of their own: C{count} connections, kept up until told to let go, then watched until they are gone."""

    def __init__(self, port: int, count: int) -> None:
        self.up, self.let_go = Event(), Event()
        self.gone: Queue[tuple[float, int]] = Queue()
        self._process = Process(target=self._run, args=(port, count), daemon=True)
        self._process.start()

    def stop(self) -> None:
        """End the process."""
        self._process.terminate()
        self._process.join()

    def _run(self, port: int, count: int) -> None:
        poll = select.epoll()
        peers: dict[int, socket.socket] = {}
        again = 0

        def connect() -> None:
            peer = socket.socket()
            try:
                peer.connect(("127.0.0.1", port))
                peer.sendall(BEGINNING)
            except OSError:
                peer.close()
                return
            peer.setblocking(False)
            peers[peer.fileno()] = peer
            poll.register(peer, select.EPOLLIN)

        def reap(seconds: float) -> int:
            ended = 0
            for number, _ in poll.poll(seconds):
                peer = peers[number]
                try:
                    if peer.recv(4096):
                        continue
                except BlockingIOError:
                    continue
                except OSError:
                    pass
                poll.unregister(number)
                del peers[number]
                peer.close()
                ended += 1
            return ended

        drip = 0  # five a millisecond, not all at once: they know nothing of each other
        while not self.let_go.is_set():
            for _ in range(min(100, count - len(peers))):
                connect()
            again += reap(0.001)
            if len(peers) >= count * 0.98:
                self.up.set()
            for number in list(peers)[drip : drip + 5]:
                try:
                    peers[number].send(b"x")
                except OSError:
                    pass
            drip = (drip + 5) % max(1, len(peers))
        since = time.monotonic()
        while peers and time.monotonic() < since + 120:
            reap(0.1)
        self.gone.put((time.monotonic() - since, again))


def ask(port: int) -> float:
    """One request on a connection of its own: seconds until its answer is whole."""
    begun = time.perf_counter()
    with socket.create_connection(("127.0.0.1", port), 30) as peer:
        peer.sendall(REQUEST.replace(b"host: b", b"host: b\r\nconnection: close"))
        data = b""
        while piece := peer.recv(65536):
            data += piece
    if not data.startswith(b"HTTP/1.1 200"):
        raise ConnectionError(f"refused: {data[:200]!r}")
    return time.perf_counter() - begun


def times(port: int, count: int) -> tuple[float, float]:
    """The median and the 99th percentile of so many, one after the other, in milliseconds; the first ones, who find
    everything cold, do not count."""
    for _ in range(50):
        ask(port)
    cuts = quantiles([ask(port) * 1e3 for _ in range(count)], n=100)
    return cuts[49], cuts[98]


def gateway(port: int, engine: int, folder: Path, timeout: float, reactor: str, workers: int) -> list[str]:
    """Ours."""
    config = folder / "gateway.toml"
    config.write_text(
        f'[access_log]\npath = ""\n[timeouts]\nclient_header = {timeout}\n'
        f'[[replica]]\nurl = "http://127.0.0.1:{engine}"\nmodels = ["bench"]\n'
    )
    named = () if reactor == "own" else ("--reactor", reactor)
    return [
        str(Path(sys.executable).with_name("twistd")), "-n", "--pidfile=", f"--logfile={folder / 'twistd.log'}", *named,
        "aibrix-gateway", "--config", str(config), "--listen", f"tcp:{port}:interface=127.0.0.1:backlog=4096",
        "--admin", "none", *(("--workers", str(workers)) if workers > 1 else ()),
    ]  # fmt: skip


def engine(folder: Path) -> tuple[list[str], int, int | None, Path]:
    """A simulated one that takes no time, as L{Running} takes it."""
    port = free_port()
    command = [
        sys.executable, "-m", "aibrix_twisted.demo", "--listen", f"127.0.0.1:{port}", "--prefill", "0", "--decode", "0",
        "--batch", "100000", "--model", "bench",
    ]  # fmt: skip
    return command, port, None, folder / "engine.log"


def measure(given: argparse.Namespace, home: Path) -> dict[str, Any]:
    """All figures."""
    port = free_port()
    behind = Running(*engine(home))
    front = Running(
        gateway(port, behind.port, home, given.timeout, given.reactor, given.workers), port, None, home / "gateway.log"
    )
    hostile = None
    try:
        before, idle = times(port, given.asked), pss_bytes(front.pid)
        hostile = Hostile(port, given.clients)
        hostile.up.wait(60)
        time.sleep(1.0)  # those that are missing come
        meanwhile = times(port, given.asked)
        memory = pss_bytes(front.pid)
        hostile.let_go.set()
        gone, again = hostile.gone.get(timeout=130)
        after = times(port, given.asked)
        return {
            "before": before, "meanwhile": meanwhile, "after": after, "again": again, "gone": gone,
            "kib": (memory - idle) / 1024 / given.clients, "memory": memory - idle,
        }  # fmt: skip
    except ConnectionError:
        print((home / "twistd.log").read_text()[-2000:], file=sys.stderr)
        raise
    finally:
        if hostile is not None:
            hostile.stop()
        front.stop()
        behind.stop()


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, default=10_000)
    parser.add_argument("--asked", type=int, default=3000, help="requests, each time")
    parser.add_argument("--timeout", type=float, default=10.0)
    parser.add_argument("--reactor", default="own")
    parser.add_argument(
        "--workers",
        type=int,
        default=1,
        help="one has as many clients at most as 0.45 of the descriptors that it may have",
    )
    given = parser.parse_args()
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    with contextlib.suppress(ValueError):  # only root may have more than it was given
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(most, 65536), max(most, 65536)))
    with tempfile.TemporaryDirectory() as folder:
        found = measure(given, Path(folder))
    for when in ("before", "meanwhile", "after"):
        print(f"{when:>9}: median {found[when][0]:6.2f} ms, p99 {found[when][1]:6.2f} ms")
    print(f"p99 with them is {found['meanwhile'][1] / found['before'][1]:.2f} of that before")
    print(f"memory: {found['memory'] / 1048576:.1f} MiB more, {found['kib']:.1f} KiB a connection")
    print(f"closed and come again meanwhile: {found['again']}; all gone {found['gone']:.1f} s after they were let go")


if __name__ == "__main__":
    main()
