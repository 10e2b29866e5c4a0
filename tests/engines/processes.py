"""Engines and the gateway as processes; a tap that writes down what passes between two of them."""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from tests.engines import home

READY_S = 240


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


#: All that were, so that none outlives the tests: an engine takes gigabytes.
_STARTED: set[subprocess.Popen[bytes]] = set()


def kill(process: subprocess.Popen[bytes]) -> None:
    """End it at once, with everything that it started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


@atexit.register
def _kill_all() -> None:
    for process in _STARTED:
        kill(process)


class Running:
    """A server process.

    @ivar admin: where a gateway's admin listener is.
    """

    def __init__(
        self, command: list[str], port: int, ready: str, tls: ssl.SSLContext | None = None, **env: str
    ) -> None:
        """@param tls: how TLS is spoken with it; C{None}: it is not."""
        self.port = port
        self.admin = ""
        self._tls = tls
        self.url = f"{'http' if tls is None else 'https'}://127.0.0.1:{port}"
        self.log = Path(tempfile.mkstemp(suffix=".log")[1])
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                command,
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                env={**os.environ, **env},
                start_new_session=True,
            )
        _STARTED.add(self.process)
        deadline = time.monotonic() + READY_S
        while not self.is_ready(ready):
            if self.process.poll() is not None or time.monotonic() > deadline:
                kill(self.process)
                raise RuntimeError(f"{command[0]} did not start:\n{self.log.read_text()[-3000:]}")
            time.sleep(0.2)

    def is_ready(self, path: str) -> bool:
        """Whether it says 200 there."""
        try:
            with urllib.request.urlopen(self.url + path, timeout=2, context=self._tls) as response:
                return bool(response.status == 200)
        except (OSError, urllib.error.URLError):
            return False

    def get(self, path: str) -> str:
        """A document of it."""
        with urllib.request.urlopen(self.url + path, timeout=10, context=self._tls) as response:
            return str(response.read().decode())

    def stop(self) -> int:
        """End it with everything that it started.

        @return: its exit code.
        """
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
        return self.process.wait()


def vllm(*more: str, port: int = 0, model: Path = home.MODEL, tls: ssl.SSLContext | None = None) -> Running:
    """vLLM's server; on a free port, unless one is said."""
    port = port or free_port()
    command = [
        str(home.VLLM / "bin/vllm"), "serve", str(model), "--served-model-name", "tiny", "--host", "127.0.0.1",
        "--port", str(port), "--dtype", "float32", "--enforce-eager", "--max-model-len", "2048", "--max-num-seqs", "16",
        "--enable-auto-tool-choice", "--tool-call-parser", "hermes", *more,
    ]  # fmt: skip
    return Running(
        command, port, "/health", tls,
        HF_HUB_OFFLINE="1", TRANSFORMERS_OFFLINE="1", VLLM_NO_USAGE_STATS="1", DO_NOT_TRACK="1",
        VLLM_TARGET_DEVICE="cpu", VLLM_CPU_KVCACHE_SPACE="1", VLLM_CPU_OMP_THREADS_BIND="nobind", OMP_NUM_THREADS="1",
    )  # fmt: skip


def kill_engine_core(vllm: Running) -> None:
    """Of vLLM, end the process that computes at once; its server lives on, and says that it is gone."""
    for task in Path(f"/proc/{vllm.process.pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            if "EngineCor" in Path(f"/proc/{child}/comm").read_text():  # names are cut at fifteen characters
                os.kill(int(child), signal.SIGKILL)
                return
    raise AssertionError("vLLM has no engine process")


def llama_server(*more: str, port: int = 0, model: Path = home.GGUF) -> Running:
    """llama.cpp's server."""
    port = port or free_port()
    command = [
        str(home.LLAMA_SERVER), "-m", str(model), "--host", "127.0.0.1", "--port", str(port), "--alias", "tiny",
        "--metrics", "--offline", "-np", "4", "-c", "8192", "-t", "1", *more,
    ]  # fmt: skip
    return Running(command, port, "/health")


def transformers_serve() -> Running:
    """Hugging Face's server."""
    port = free_port()
    cache = home.HOME / "hub"
    cache.mkdir(exist_ok=True)
    command = [
        str(home.VLLM / "bin/transformers"), "serve", str(home.MODEL), "--host", "127.0.0.1", "--port", str(port),
        "--device", "cpu",
    ]  # fmt: skip
    return Running(
        command,
        port,
        "/health",
        HF_HUB_CACHE=str(cache),
        HF_HUB_OFFLINE="1",
        TRANSFORMERS_OFFLINE="1",
        OMP_NUM_THREADS="1",
    )


def gateway(*replicas: str, config: str = "") -> Running:
    """Ours."""
    port, admin = free_port(), free_port()
    command = [
        str(Path(sys.executable).with_name("twistd")), "-n", "--pidfile=", "aibrix-gateway",
        "--listen", f"tcp:{port}:interface=127.0.0.1", "--admin", f"tcp:{admin}:interface=127.0.0.1",
    ]  # fmt: skip
    if config:
        path = Path(tempfile.mkstemp(suffix=".toml")[1])
        path.write_text(config)
        command += ["--config", str(path)]
    for replica in replicas:
        command += ["--replica", replica]
    running = Running(command, port, "/readyz")
    running.admin = f"http://127.0.0.1:{admin}"
    return running


def facts(gateway: Running) -> dict[str, dict[str, Any]]:
    """What the admin API says of each replica."""
    with urllib.request.urlopen(f"{gateway.admin}/api/replicas", timeout=10) as response:
        return {replica["name"]: replica for replica in json.load(response)["replicas"]}


def body_of(raw: bytes) -> bytes:
    """The body of the one response, framing taken off; of what is more, or less, than one: whatever there is."""
    head, _, rest = raw.partition(b"\r\n\r\n")
    if b"transfer-encoding: chunked" not in head.lower():
        return rest
    body = b""
    while True:
        size, _, rest = rest.partition(b"\r\n")
        if not size.isalnum() or not int(size, 16):
            return body
        body += rest[: int(size, 16)]
        rest = rest[int(size, 16) + 2 :]


_IDS = re.compile(rb'"((?:prompt_)?token_ids)":\[[0-9,]*\]')


def unasked(body: bytes) -> bytes:
    """As vLLM writes it where nobody asked which tokens it made: the gateway does, so that it can heal the stream."""
    return _IDS.sub(rb'"\1":null', body)


class Tap:
    """Stands between a client and a server, passes every byte, and keeps those that the server sent.

    @ivar answers: what came from the server, a connection at a time, in the order of the connects.
    """

    def __init__(self, port: int) -> None:
        self._server = port
        self.answers: list[bytearray] = []
        self._peers: list[socket.socket] = []
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listening.getsockname()[1])
        self.url = f"http://127.0.0.1:{self.port}"
        self._closed = False
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._accepting.start()

    def last(self) -> bytes:
        """What came on the newest connection that something came on."""
        return bytes(next(answer for answer in reversed(self.answers) if answer))

    def saw(self, body: bytes) -> bool:
        """Whether a response with this body, chunked or not, came on any connection; others may have come, too."""
        return any(unasked(body_of(bytes(answer))) == body for answer in self.answers if answer)

    def clear(self) -> None:
        """Forget."""
        for answer in self.answers:
            answer.clear()

    def close(self) -> None:
        """Accept no more, and let go of every connection."""
        self._closed = True
        self._listening.shutdown(socket.SHUT_RDWR)  # wakes whoever waits in C{accept}
        self._accepting.join()
        for peer in (self._listening, *self._peers):
            peer.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            if self._closed:
                client.close()
                return
            try:
                server = socket.create_connection(("127.0.0.1", self._server))
            except OSError:  # as it would be for a client without us
                client.close()
                continue
            for peer in (client, server):
                self._peers.append(peer)
                peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            kept = bytearray()
            self.answers.append(kept)
            threading.Thread(target=self._pass, args=(client, server, None), daemon=True).start()
            threading.Thread(target=self._pass, args=(server, client, kept), daemon=True).start()

    @staticmethod
    def _pass(source: socket.socket, target: socket.socket, kept: bytearray | None) -> None:
        try:
            while data := source.recv(65536):
                if kept is not None:
                    kept += data
                target.sendall(data)
        except OSError:
            pass
        for peer in (source, target):
            try:
                peer.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


class Shears:
    """What cutters share: the next stream that begins is cut, and none after it.

    @ivar after: events that are passed before the connection is closed; 0: none is cut.
    @ivar cuts: how often that was.
    @ivar short: streams that were to be cut, and had fewer events.
    """

    def __init__(self) -> None:
        self.after = 0
        self.cuts = 0
        self.short = 0


class Cutter:
    """Stands before a server, and cuts streams off."""

    def __init__(self, port: int, shears: Shears) -> None:
        self._server = port
        self._shears = shears
        self._peers: list[socket.socket] = []
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Accept no more, and let go of every connection."""
        for peer in (self._listening, *self._peers):
            peer.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
                server = socket.create_connection(("127.0.0.1", self._server))
            except OSError:
                return
            self._peers += [client, server]
            for peer in (client, server):
                peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self._pass, args=(client, server), daemon=True).start()
            threading.Thread(target=self._answer, args=(server, client), daemon=True).start()

    @staticmethod
    def _pass(source: socket.socket, target: socket.socket) -> None:
        try:
            while data := source.recv(65536):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def _answer(self, server: socket.socket, client: socket.socket) -> None:
        left, shears = 0, self._shears
        try:
            while data := server.recv(65536):
                if shears.after and b"text/event-stream" in data:
                    left, shears.after = shears.after, 0
                if left:
                    pieces = data.split(b"\n\n")
                    if left < len(pieces):
                        shears.cuts += 1
                        client.sendall(b"\n\n".join(pieces[:left]) + b"\n\n")
                        break
                    left -= len(pieces) - 1
                    if b"data: [DONE]" in data:
                        left, shears.short = 0, shears.short + 1
                client.sendall(data)
        except OSError:
            pass
        for peer in (client, server):
            with contextlib.suppress(OSError):
                peer.shutdown(socket.SHUT_RDWR)  # a close would wait for the thread that reads
