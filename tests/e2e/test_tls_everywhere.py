"""What is said of TLS on the gateway's own reactor holds on Twisted's; and what holds without TLS holds with it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

#: A run in a process of its own: what is set there, and what is run.
RUNS = {
    "twisteds own reactor": (
        {"AIBRIX_TEST_REACTOR": "default"},
        ("test_tls.py", "test_tls_reload.py", "test_tls_replicas.py"),
    ),
    "tls on both sides": (
        {"AIBRIX_TEST_TLS": "1"},
        ("test_backpressure.py", "test_client_leaves.py", "test_faults.py", "test_life.py", "test_quirks.py"),
    ),
    "tls on both sides, twisteds own reactor": (
        {"AIBRIX_TEST_TLS": "1", "AIBRIX_TEST_REACTOR": "default"},
        ("test_backpressure.py", "test_client_leaves.py", "test_faults.py", "test_life.py"),
    ),
}


@pytest.mark.parametrize("name", RUNS)
def test_a_run(name: str) -> None:
    """Everything passes there, too."""
    settings, files = RUNS[name]
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-o", "addopts=--strict-markers --reactor=default",
         *(f"tests/e2e/{file}" for file in files)],
        cwd=ROOT, env={**os.environ, **settings}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stdout[-5000:]
