"""Engines are started once for all tests."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator

import pytest

from tests.engines import processes
from tests.engines.clients import close_all


def pytest_sessionstart() -> None:
    """Whoever ends the tests with SIGTERM ends the engines, too: a signal's default leaves no time for that."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))


def pytest_sessionfinish() -> None:
    """Nobody asks any more."""
    close_all()


@pytest.fixture(scope="session")
def vllm() -> Iterator[processes.Running]:
    """vLLM, as long as the tests run."""
    engine = processes.vllm()
    yield engine
    engine.stop()


@pytest.fixture(scope="session")
def llama() -> Iterator[processes.Running]:
    """llama-server."""
    engine = processes.llama_server()
    yield engine
    engine.stop()


@pytest.fixture(scope="session")
def transformers() -> Iterator[processes.Running]:
    """transformers serve."""
    engine = processes.transformers_serve()
    yield engine
    engine.stop()


class Stand:
    """One engine behind a tap behind the gateway behind another tap.

    @ivar url: what a client uses.
    """

    def __init__(self, name: str, engine: processes.Running) -> None:
        self.name = name
        self.engine = engine
        self.engine_tap = processes.Tap(engine.port)
        kind = "openai" if name == "transformers" else ""
        model = str(processes.home.MODEL) if name == "transformers" else "tiny"
        self.model = model
        config = f'[[replica]]\nname = "{name}"\nurl = "{self.engine_tap.url}"\n'
        if kind:
            config += f'engine = "{kind}"\nmodels = ["{model}"]\n'
        self.gateway = processes.gateway(config=config)
        self.client_tap = processes.Tap(self.gateway.port)
        self.url = self.client_tap.url

    def close(self) -> None:
        """End the gateway; it drains, and exits with 0."""
        self.engine_tap.close()
        self.client_tap.close()
        assert self.gateway.stop() == 0, self.gateway.log.read_text()[-3000:]


@pytest.fixture(scope="session", params=["vllm", "llama", "transformers"])
def stand(request: pytest.FixtureRequest) -> Iterator[Stand]:
    """Each engine in turn."""
    made = Stand(request.param, request.getfixturevalue(request.param))
    yield made
    made.close()
