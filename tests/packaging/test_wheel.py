"""The wheel, installed where nothing else is: twistd has the gateway, and the gateway serves, drains and exits."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

#: For a process to come up or to go down on a busy machine.
PATIENCE_S = 30.0


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project's wheel, made of a copy of the tree: setuptools builds beside its sources."""
    place = tmp_path_factory.mktemp("wheel")
    source = place / "source"
    for name in ("setup.cfg", "setup.py", "pyproject.toml", "README.md", "LICENSE"):
        (source / name).parent.mkdir(exist_ok=True)
        (source / name).write_bytes((ROOT / name).read_bytes())
    for path in [*ROOT.glob("aibrix_twisted/**/*"), *ROOT.glob("twisted/plugins/*.py")]:
        if path.is_file() and path.suffix != ".pyc":
            copy = source / path.relative_to(ROOT)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(path.read_bytes())
    # By a Python that has nothing, as a newcomer's and the image's: pip gives it what pyproject.toml asks for.
    bare = place / "bare"
    _run(sys.executable, "-m", "venv", "--without-pip", bare)
    pip = (sys.executable, "-m", "pip", "-q", "--python", bare / "bin" / "python")
    _run(*pip, "wheel", "--no-deps", "-w", place, source)
    (built,) = place.glob("*.whl")
    return built


@pytest.fixture(scope="session")
def twistd(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The C{twistd} of a virtual environment that has the wheel, what the wheel requires, and nothing else."""
    place = tmp_path_factory.mktemp("venv")
    _run(sys.executable, "-m", "venv", "--without-pip", place)
    _run(sys.executable, "-m", "pip", "-q", "--python", place / "bin" / "python", "install", wheel)
    return place / "bin" / "twistd"


def _run(*command: object, cwd: Path | None = None) -> str:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env={**environment, "PIP_DISABLE_PIP_VERSION_CHECK": "1"},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _until(done: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not done():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def _get(url: str, body: object = None) -> tuple[int, bytes]:
    """Status and body; 0 while nobody listens."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"content-type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=10) as response:
            return response.status, response.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()
    except OSError:
        return 0, b""


def test_the_wheel_has_our_files_only(wheel: Path) -> None:
    """Whatever is installed is ours: the package with its mark of types, and two files among Twisted's plugins."""
    names = zipfile.ZipFile(wheel).namelist()
    plugins = {name for name in names if name.startswith("twisted/")}
    assert plugins == {f"twisted/plugins/{path.name}" for path in ROOT.glob("twisted/plugins/*.py")}
    assert "aibrix_twisted/py.typed" in names
    units = {path.name for path in ROOT.glob("aibrix_twisted/ctl/units/*")}
    assert {name.rpartition("/")[2] for name in names if name.startswith("aibrix_twisted/ctl/units/")} == units
    expected = {str(path.relative_to(ROOT)) for path in ROOT.glob("aibrix_twisted/**/*.py")}
    assert {name for name in names if name.startswith("aibrix_twisted/") and name.endswith(".py")} == expected
    tops = {name.split("/")[0].partition("-")[0] for name in names}
    assert {top for top in tops if "__mypyc" not in top} == {"aibrix_twisted", "twisted"}  # what is shared by its .so's


def test_what_is_imported_is_required(twistd: Path, tmp_path: Path) -> None:
    """Every module of the package can be imported where only what the wheel requires is installed."""
    program = (
        "import importlib, pkgutil, aibrix_twisted\n"
        "for found in pkgutil.walk_packages(aibrix_twisted.__path__, 'aibrix_twisted.'):\n"
        "    if not found.name.endswith('__main__'):\n"
        "        importlib.import_module(found.name)\n"
        "print(aibrix_twisted.__file__)\n"
    )
    where = _run(twistd.parent / "python", "-W", "error", "-c", program, cwd=tmp_path)
    assert where.startswith(str(twistd.parents[1]))


def test_twistd_has_it(twistd: Path, tmp_path: Path) -> None:
    """From any directory: the service among the others, its options, and the reactor."""
    assert "aibrix-gateway" in _run(twistd, "--help", cwd=tmp_path)
    assert "--replica=" in _run(twistd, "aibrix-gateway", "--help", cwd=tmp_path)
    assert "    aibrix\t" in _run(twistd, "--help-reactors", cwd=tmp_path)


def test_which_build_it_is(twistd: Path, tmp_path: Path) -> None:
    """Compiled, where that can be done."""
    wanted = "compiled" if shutil.which("cc") or os.environ.get("AIBRIX_COMPILE") == "always" else "interpreted"
    assert f"({wanted})" in _run(twistd, "aibrix-gateway", "--version", cwd=tmp_path)


def test_twistd_of_the_checkout_has_it(tmp_path: Path) -> None:
    """An editable install, which is what C{make} makes, is found from any directory, too."""
    twistd_here = Path(sys.executable).parent / "twistd"
    assert "aibrix-gateway" in _run(twistd_here, "--help", cwd=tmp_path)


def test_it_serves_and_exits(twistd: Path, tmp_path: Path) -> None:
    """Started with two demo engines it answers a request, shows it in its metrics, and exits with 0 on SIGTERM."""
    port, admin = _free_port(), _free_port()
    base, said = f"http://127.0.0.1:{port}", tmp_path / "said"
    options = ("--demo", "--listen", f"tcp:{port}:interface=127.0.0.1", "--admin", f"tcp:{admin}:interface=127.0.0.1")
    with said.open("wb") as output:
        gateway = subprocess.Popen(
            (str(twistd), "-n", "--pidfile=", "aibrix-gateway", *options), cwd=tmp_path, stdout=output, stderr=output
        )
    try:
        _until(lambda: _get(f"{base}/readyz")[0] == 200 or gateway.poll() is not None, "it is not ready")
        assert gateway.poll() is None, said.read_text()
        listed = json.loads(_get(f"{base}/v1/models")[1])
        asked = {"model": listed["data"][0]["id"], "messages": [{"role": "user", "content": "Say hello"}]}
        status, answer = _get(f"{base}/v1/chat/completions", asked)
        assert (status, json.loads(answer)["object"]) == (200, "chat.completion")
        status, metrics = _get(f"http://127.0.0.1:{admin}/metrics")
        assert status == 200
        assert b'aibrix_gateway_requests_total{model="' in metrics
        gateway.send_signal(signal.SIGTERM)
        assert gateway.wait(PATIENCE_S) == 0, said.read_text()
    finally:
        gateway.kill()
        gateway.wait()
    output_text = said.read_text()
    assert "Traceback" not in output_text
    assert '"route":"chat_completions"' in output_text, "no line in the access log"


def test_settings_that_are_wrong_stop_the_start(twistd: Path, tmp_path: Path) -> None:
    """Exit code 2, and a line with the file, the line and the key; nothing that looks like a defect of ours."""
    (tmp_path / "gateway.toml").write_text('policy = "random"\n[timeouts]\nconect = 1\n')
    done = subprocess.run(
        (str(twistd), "-n", "--pidfile=", "aibrix-gateway", "-c", "gateway.toml"),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 2
    assert "gateway.toml:3: timeouts.conect: found an unknown key" in done.stderr
    assert "Traceback" not in done.stderr
