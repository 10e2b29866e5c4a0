"""The admin API is what C{/api/openapi.json} says: schemathesis asks all of it, rightly and wrongly."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from aibrix_twisted.service.admin.openapi import OPERATIONS
from tests.packaging.test_wheel import PATIENCE_S, _free_port, _get, _until

HERE = Path(__file__).resolve().parent
BIN = Path(sys.executable).parent

#: Requests that are asked for by name: the ids that are tried first.
IDS = ("0", "!")

#: Cases for each operation and phase.
EXAMPLES = "5"


def _chat(base: str, id: str, *, stream: bool) -> None:
    asked = {"model": "demo-model", "stream": stream, "messages": [{"role": "user", "content": "Say hello"}]}
    headers = {"content-type": "application/json", "x-request-id": id}
    request = urllib.request.Request(f"{base}/v1/chat/completions", json.dumps(asked).encode(), headers)
    with urllib.request.urlopen(request, timeout=10) as response:
        assert response.read()


@pytest.fixture
def admin(tmp_path: Path) -> Iterator[str]:
    """A gateway with two demo engines that has served a few requests: the URL of its admin listener."""
    port, admin = _free_port(), _free_port()
    state = tmp_path / "gateway.toml"
    state.write_text('access_log = {path = ""}\n')
    options = ("--demo", "--listen", f"tcp:{port}:interface=127.0.0.1", "--admin", f"tcp:{admin}:interface=127.0.0.1")
    said = tmp_path / "said"
    with said.open("wb") as output:
        gateway = subprocess.Popen(
            (str(BIN / "twistd"), "-n", "--pidfile=", "aibrix-gateway", "-c", str(state), *options),
            cwd=tmp_path,
            stdout=output,
            stderr=output,
        )
    try:
        base = f"http://127.0.0.1:{port}"
        _until(lambda: _get(f"{base}/readyz")[0] == 200 or gateway.poll() is not None, "it is not ready")
        for id, stream in zip(IDS, (True, False), strict=True):
            _chat(base, id, stream=stream)
        assert _get(f"{base}/v1/chat/completions", {"model": "nobody", "messages": []})[0] == 404
        yield f"http://127.0.0.1:{admin}"
        gateway.send_signal(signal.SIGTERM)
        assert gateway.wait(PATIENCE_S) == 0
    finally:
        gateway.kill()
        gateway.wait()
        assert "Traceback" not in said.read_text(), said.read_text()[-6000:]


def test_the_api_is_what_it_says(admin: str, tmp_path: Path) -> None:
    """No answer of 500, none that is not described, nothing valid refused, nothing invalid taken."""
    done = subprocess.run(
        (
            str(BIN / "st"), "run", f"{admin}/api/openapi.json", "--max-examples", EXAMPLES,
            "--workers", "1", "--generation-deterministic", "--suppress-health-check", "all",
            "--request-timeout", "20", "--no-color", "--continue-on-failure",
        ),
        cwd=tmp_path,
        env={**os.environ, "SCHEMATHESIS_HOOKS": str(HERE / "schemathesis_hooks.py")},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    every = len(OPERATIONS) - 1  # the description itself is not asked for once more
    assert "repeatedly returned 404" not in done.stdout, done.stdout
    assert f"Operations:       {every} selected / {every} total" in done.stdout, done.stdout
