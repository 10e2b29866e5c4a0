"""Engines that die in the middle of an answer: nobody takes what is left for the whole."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import openai
import pytest

from tests.engines import home, processes
from tests.engines.clients import client_of
from tests.engines.conftest import Stand
from tests.engines.load import until
from tests.engines.processes import facts
from tests.engines.test_sdk import MESSAGES


def test_llama_server_killed_while_it_streams() -> None:
    """By SIGKILL: the stream ends with an error that the SDK raises."""
    engine = processes.llama_server()
    gateway = processes.gateway(f"doomed={engine.url}")
    try:
        chunks: Any = client_of(gateway.url, 200).chat.completions.create(
            model="tiny", messages=MESSAGES, max_tokens=2000, temperature=0, stream=True
        )
        with pytest.raises(openai.APIError) as error:
            for number, _ in enumerate(chunks):
                if number == 3:
                    os.killpg(engine.process.pid, signal.SIGKILL)
        assert error.value.code in ("upstream_truncated", "upstream_broke")
    finally:
        assert gateway.stop() == 0
        engine.stop()


def test_llama_server_killed_before_it_answered() -> None:
    """By SIGKILL, and there is no other: the request waits for its successor, and gets its answer from that."""
    engine = processes.llama_server()
    gateway = processes.gateway(f"doomed={engine.url}")
    try:
        with ThreadPoolExecutor(1) as pool:
            create = client_of(gateway.url, 200).chat.completions.create
            answer = pool.submit(create, model="tiny", messages=MESSAGES, max_tokens=1900, temperature=0)
            while not facts(gateway)["doomed"]["in_flight"]:
                assert not answer.done()
            os.killpg(engine.process.pid, signal.SIGKILL)
            engine.process.wait()
            while gateway.is_ready("/readyz"):  # an engine that is back before anybody has looked was never away
                time.sleep(0.05)
            assert not answer.done()
            engine = processes.llama_server(port=engine.port)
            assert answer.result().choices
    finally:
        assert gateway.stop() == 0
        engine.stop()


def test_another_replica_takes_over() -> None:
    """Of two, one is killed: whatever had not begun goes to the other, and no client sees it."""
    engines = [processes.llama_server(), processes.llama_server()]
    gateway = processes.gateway(*(f"l{number}={engine.url}" for number, engine in enumerate(engines)))
    try:
        client = client_of(gateway.url, 200)
        os.killpg(engines[0].process.pid, signal.SIGKILL)
        for _ in range(20):
            assert client.chat.completions.create(model="tiny", messages=MESSAGES, max_tokens=2).choices
    finally:
        assert gateway.stop() == 0
        for engine in engines:
            engine.stop()


def test_vllm_bench_serve(vllm: processes.Running) -> None:
    """vLLM's own load tool finds no failed request."""
    stand = Stand("vllm", vllm)
    try:
        command: list[str] = [
            str(home.VLLM / "bin/vllm"), "bench", "serve", "--backend", "openai-chat", "--base-url", stand.url,
            "--endpoint", "/v1/chat/completions", "--model", "tiny", "--tokenizer", str(home.MODEL), "--dataset-name",
            "random", "--random-input-len", "32", "--random-output-len", "16", "--num-prompts", "40",
            "--max-concurrency", "4", "--ignore-eos",
        ]  # fmt: skip
        env = {**os.environ, "HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "VLLM_TARGET_DEVICE": "cpu"}
        done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False, env=env)
        lines = [line for line in done.stdout.splitlines() if "requests:" in line]
        assert any("Successful" in line and line.split()[-1] == "40" for line in lines), (
            done.stdout + done.stderr[-2000:]
        )
    finally:
        stand.close()


def test_vllms_engine_process_killed() -> None:
    """Its server lives on and says an error event and C{[DONE]} in a 200: the SDK raises, and it is counted so.

    It has a vLLM of its own, which serves nobody afterwards.
    """
    vllm = processes.vllm()
    stand = Stand("vllm", vllm)
    try:
        client = client_of(stand.url)
        chunks: Any = client.chat.completions.create(
            model="tiny", messages=MESSAGES, max_tokens=1900, temperature=0, stream=True
        )
        with pytest.raises(openai.APIError):
            for number, _ in enumerate(chunks):
                if number == 5:
                    processes.kill_engine_core(vllm)
        until(lambda: b'"error":"engine_reported"' in stand.gateway.log.read_bytes())
    finally:
        stand.close()
        vllm.stop()
