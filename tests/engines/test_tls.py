"""TLS with real ones on both sides: vLLM, which wants a certificate of the gateway, and OpenAI's SDK."""

from __future__ import annotations

import shutil
import signal
import ssl
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from openai import DefaultHttpx2Client, OpenAI

from tests.authority import Authority, Issued
from tests.engines import processes
from tests.engines.processes import Running

ASKED: Any = {"model": "tiny", "messages": [{"role": "user", "content": "hello"}], "temperature": 0, "max_tokens": 40}


class World:
    """vLLM with TLS, and who may speak with it."""

    def __init__(self, folder: Path) -> None:
        self.authority = Authority(folder)
        self.folder = folder
        engine, self.mine = self.authority.issue("127.0.0.1"), self.authority.issue(subject="gateway", client=True)
        self.believing = ssl.create_default_context(cafile=self.authority.path)
        known = ssl.create_default_context(cafile=self.authority.path)
        known.load_cert_chain(self.mine.cert, self.mine.key)
        self.engine = processes.vllm(
            "--ssl-certfile", engine.cert, "--ssl-keyfile", engine.key, "--ssl-ca-certs", self.authority.path,
            "--ssl-cert-reqs", "2", tls=known,
        )  # fmt: skip

    def gateway(self, shown: Issued, tls: str) -> tuple[Running, int]:
        """One that shows a certificate to clients, and speaks to the engine as C{tls} has it.

        @return: it, and its port for TLS.
        """
        port = processes.free_port()
        config = (
            f'[tls]\nlisten = ["tcp:{port}:interface=127.0.0.1"]\n[[tls.certificate]]\ncert = "{shown.cert}"\n'
            f'key = "{shown.key}"\n[access_log]\npath = ""\n[queue]\nwait_down = 0.0\n'
            f'[[replica]]\nname = "e0"\nurl = "{self.engine.url}"\nmodels = ["tiny"]\n{tls}\n'
        )
        return processes.gateway(config=config), port


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """One engine for all tests here."""
    made = World(tmp_path_factory.mktemp("tls"))
    yield made
    made.engine.stop()


def test_from_end_to_end(world: World) -> None:
    """Streams, and answers that are none, many at once, while the certificate is replaced: each is whole and the same."""
    shown = world.authority.issue("localhost")
    tls = f'tls = {{ca = "{world.authority.path}", cert = "{world.mine.cert}", key = "{world.mine.key}"}}'
    gateway, port = world.gateway(shown, tls)
    try:
        http = DefaultHttpx2Client(verify=world.believing)
        client = OpenAI(base_url=f"https://localhost:{port}/v1", api_key="none", max_retries=0, http_client=http)
        with client, ThreadPoolExecutor(8) as pool:
            whole = client.chat.completions.create(**ASKED).choices[0].message.content

            def stream() -> str:
                pieces = client.chat.completions.create(**ASKED, stream=True)
                return "".join(piece.choices[0].delta.content or "" for piece in pieces if piece.choices)

            streams = [pool.submit(stream) for _ in range(24)]
            for _ in range(4):
                time.sleep(0.3)
                new = world.authority.issue("localhost")
                shutil.copy(new.cert, shown.cert)
                shutil.copy(new.key, shown.key)
                gateway.process.send_signal(signal.SIGHUP)
            assert {each.result(120) for each in streams} == {whole}
        facts = processes.facts(gateway)["e0"]
        assert (facts["tls"], facts["state"]) == ("verified", "up")
        assert facts["load"] is not None
    finally:
        gateway.stop()


def test_a_gateway_that_the_engine_does_not_know(world: World) -> None:
    """It wants a certificate, and gets none: it is down, and the API says why."""
    gateway, _ = world.gateway(world.authority.issue("localhost"), f'tls = {{ca = "{world.authority.path}"}}')
    try:
        deadline = time.monotonic() + 20
        while "it may want a client's certificate" not in (processes.facts(gateway)["e0"]["last_error"] or ""):
            assert time.monotonic() < deadline, processes.facts(gateway)["e0"]
            time.sleep(0.2)
    finally:
        gateway.stop()
