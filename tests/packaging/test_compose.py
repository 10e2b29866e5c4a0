"""What compose.yaml says is so: each file, port and option that it names is there, and its processes work together.

There is no container here: the commands run as processes, with other addresses and, for a volume, a folder.
"""

from __future__ import annotations

import json
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import tomllib
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from aibrix_twisted import tap
from aibrix_twisted.demo.__main__ import parse
from aibrix_twisted.domain.settings import Settings
from aibrix_twisted.service.config.load import Source
from aibrix_twisted.service.exchange.local import is_local

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text("utf-8")
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text("utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]

#: What is made of our Dockerfile.
OURS = ("gateway", "demo0", "demo1")
PROMETHEUS = "/etc/prometheus/prometheus.yml"

#: For a process to come up or to go down on a busy machine.
PATIENCE_S = 60.0


def _mounts(service: str) -> dict[str, str]:
    """What lies where: by the path in the container, the file or folder here, or the volume's name."""
    found = {}
    for mount in SERVICES[service]["volumes"]:
        source, target, *mode = mount.split(":")
        assert not source.startswith("./") or mode == ["ro"], mount
        found[target] = source
    return found


def _here(service: str, path: str) -> Path:
    """A file of the container's, in this tree."""
    for target, source in _mounts(service).items():
        if path == target or path.startswith(f"{target}/"):
            return ROOT / source / path.removeprefix(target).lstrip("/")
    raise AssertionError(f"{service}: {path} is not mounted")


def _ports(service: str) -> dict[str, str]:
    """The container's, by the host's."""
    found = {}
    for published in SERVICES[service]["ports"]:
        address, outer, inner = published.split(":")
        assert address == "127.0.0.1", f"{service}: {published} is there for others, too"
        found[outer] = inner
    return found


def _settings() -> Settings:
    """The gateway's, by its command line."""
    options = tap.Options()
    options.parseOptions(SERVICES["gateway"]["command"])
    return Source(str(_here("gateway", options["config"])), options.flags()).load()


@pytest.fixture(autouse=True)
def no_reactor(monkeypatch: pytest.MonkeyPatch) -> None:
    """Options choose one, for a process of their own."""
    monkeypatch.setattr(tap, "_choose_reactor", lambda: None)


def test_each_is_confined() -> None:
    """No root file system that can be written, nothing of what root may, on this host's own address alone."""
    assert set(SERVICES) == {*OURS, "prometheus", "grafana"}
    for name, service in SERVICES.items():
        confined = (service["read_only"], service["cap_drop"], service["security_opt"])
        assert confined == (True, ["ALL"], ["no-new-privileges:true"]), name
        assert not {"privileged", "cap_add", "devices", "network_mode", "pid", "ipc", "userns_mode"} & set(service)
    user = re.search(r"^USER (\S+)$", DOCKERFILE, re.MULTILINE)
    assert user is not None
    assert {SERVICES[name]["user"] for name in OURS} == {f"${{GATEWAY_USER:-{user[1]}}}"}


def test_what_it_names_is_there() -> None:
    """Files, folders, volumes, the image; no port of the host is taken twice; what others make has a version."""
    taken = []
    for name, service in SERVICES.items():
        for source in _mounts(name).values() if "volumes" in service else ():
            if source.startswith("./"):
                assert (ROOT / source).exists(), source
            else:
                assert source in COMPOSE["volumes"], source
        taken += _ports(name) if "ports" in service else ()
        if name in OURS:
            assert (service["build"], service["image"]) == (".", "aibrix-gateway")
        else:
            assert re.search(r":v?\d+\.\d+\.\d+$", service["image"]), service["image"]
    assert len(taken) == len(set(taken)) > 3


def test_the_gateway_reaches_the_engines_and_is_reached() -> None:
    """Its configuration is one, its replicas are the demo engines, its ports are those that are published."""
    settings = _settings()
    engines = {name: parse(SERVICES[name]["command"]) for name in OURS[1:]}
    assert {name: engine.name for name, engine in engines.items()} == {name: name for name in engines}
    wanted = {name: f"http://{name}:{engine.listen.rpartition(':')[2]}" for name, engine in engines.items()}
    assert {replica.name: replica.url for replica in settings.replica} == wanted
    listens = {endpoint.removeprefix("tcp:") for endpoint in (*settings.listen, settings.admin)}
    assert set(_ports("gateway").values()) == listens
    assert len({engine.seed for engine in engines.values()}) == len(engines)


def test_what_it_keeps_outlives_it() -> None:
    """State files lie on the volume, in the folder that the image has for it; it has the time to drain."""
    settings = _settings()
    folder = re.search(r"install --directory --mode 0777 (\S+)$", DOCKERFILE, re.MULTILINE)
    assert folder is not None
    assert _mounts("gateway")[folder[1]] == "state"
    for path in (settings.discovery.state_file, settings.prefix_cache.state_file):
        assert path.startswith(f"{folder[1]}/")
    assert float(SERVICES["gateway"]["stop_grace_period"].removesuffix("s")) > settings.timeouts.drain


def test_prometheus_reads_the_gateway() -> None:
    """The job of deploy/prometheus, at the gateway's admin listener; rules that are mounted."""
    config = yaml.safe_load(_here("prometheus", PROMETHEUS).read_text("utf-8"))
    scrape = yaml.safe_load((ROOT / "deploy" / "prometheus" / "scrape.yml").read_text("utf-8"))
    (ours,), (theirs,) = config["scrape_configs"], scrape["scrape_configs"]
    assert ours.pop("static_configs") == [{"targets": [f"gateway:{_settings().admin.removeprefix('tcp:')}"]}]
    del theirs["static_configs"]
    assert ours == theirs
    (rules,) = config["rule_files"]
    assert _here("prometheus", rules) == ROOT / "deploy" / "prometheus" / "alerts.yml"
    assert f"--config.file={PROMETHEUS}" in SERVICES["prometheus"]["command"]
    (kept,) = (word for word in SERVICES["prometheus"]["command"] if word.startswith("--storage.tsdb.path="))
    assert _mounts("prometheus")[kept.partition("=")[2]] == "prometheus"


def test_prometheus_takes_it(tmp_path: Path) -> None:
    """As its own tool reads it."""
    command = shutil.which("promtool")
    if command is None:
        pytest.skip("promtool is not installed: apt-get install prometheus")
    config = tmp_path / "prometheus.yml"
    text = _here("prometheus", PROMETHEUS).read_text("utf-8")
    alerts = "/etc/prometheus/alerts.yml"
    config.write_text(text.replace(alerts, str(_here("prometheus", alerts))))
    done = subprocess.run(
        (command, "check", "config", config), capture_output=True, text=True, check=False, timeout=PATIENCE_S
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "rules found" in done.stdout + done.stderr


def test_grafana_has_the_dashboards() -> None:
    """Where its provider looks are ours, the first of them is at home; the data are Prometheus's."""
    provisioning = "/etc/grafana/provisioning"
    (source,) = yaml.safe_load(_here("grafana", f"{provisioning}/datasources/aibrix-gateway.yml").read_text("utf-8"))[
        "datasources"
    ]
    assert (source["type"], source["isDefault"]) == ("prometheus", True)
    assert source["url"] == f"http://prometheus:{next(iter(_ports('prometheus').values()))}"
    (provider,) = yaml.safe_load(_here("grafana", f"{provisioning}/dashboards/aibrix-gateway.yml").read_text("utf-8"))[
        "providers"
    ]
    folder = provider["options"]["path"]
    assert _here("grafana", folder) == ROOT / "deploy" / "grafana"
    home = SERVICES["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert home.startswith(f"{folder}/")
    assert _here("grafana", home).is_file()


class Processes:
    """The services that are ours, without containers.

    @ivar ports: which port here each C{service:port} has.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self.ports = {f"{name}:{port}": _free_port() for name in OURS for port in ("8000", "8080", "9090")}

    def begin(self) -> None:
        """Start all."""
        for name in OURS[1:]:
            command = [self._local(name, word) for word in SERVICES[name]["command"]]
            self._start(name, [sys.executable, *SERVICES[name]["entrypoint"][1:], *command])
        config = self._folder / "gateway.toml"
        config.write_text(self._config())
        entrypoint = re.search(r"^ENTRYPOINT (.*)$", DOCKERFILE, re.MULTILINE)
        assert entrypoint is not None
        twistd, *words = json.loads(entrypoint[1])
        self._start("gateway", [str(Path(sys.executable).with_name(Path(twistd).name)), *words, "-c", str(config)])

    def end(self, name: str) -> int:
        """Stop it as a container is stopped.

        @return: its exit code.
        """
        process = self._running.pop(name)
        process.send_signal(signal.SIGTERM)
        return process.wait(PATIENCE_S)

    def kill(self) -> None:
        """All that is still there."""
        for process in self._running.values():
            process.kill()
            process.wait()

    def is_healthy(self, name: str) -> bool:
        """What its check says."""
        _, python, *words = SERVICES[name]["healthcheck"]["test"]
        assert python == "/opt/aibrix-gateway/bin/python"
        command = [sys.executable, *(self._local(name, word) for word in words)]
        return not subprocess.run(command, capture_output=True, check=False, timeout=PATIENCE_S).returncode

    def said(self, name: str) -> str:
        """What it wrote."""
        return (self._folder / name).read_text("utf-8")

    def _config(self) -> str:
        text = _here("gateway", "/etc/aibrix-gateway/gateway.toml").read_text("utf-8")
        text = text.replace("/var/lib/aibrix-gateway", str(self._folder))
        text = re.sub(r"\btcp:(\d+)", lambda at: f"tcp:{self.ports[f'gateway:{at[1]}']}:interface=127.0.0.1", text)
        text = re.sub(r"//(demo\d:\d+)", lambda at: f"//127.0.0.1:{self.ports[at[1]]}", text)
        assert set(tomllib.loads(text)) == {"listen", "admin", "replica", "discovery", "prefix_cache"}
        return text

    def _local(self, name: str, word: str) -> str:
        """With this service's own address as it is here."""
        return re.sub(
            r"\b(0\.0\.0\.0|127\.0\.0\.1):(\d+)", lambda at: f"127.0.0.1:{self.ports[f'{name}:{at[2]}']}", word
        )

    def _start(self, name: str, command: list[str]) -> None:
        with (self._folder / name).open("wb") as said:
            self._running[name] = subprocess.Popen(command, cwd=self._folder, stdout=said, stderr=said)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    """They are started, and gone afterwards."""
    started = Processes(tmp_path)
    try:
        started.begin()
        yield started
    finally:
        started.kill()


def _until(done: Callable[[], bool], what: Callable[[], str]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not done():
        assert time.monotonic() < deadline, what()
        time.sleep(0.25)


def test_they_work_together(processes: Processes) -> None:
    """The gateway's check says yes once an engine is up, it serves, and no once there is none; each ends with 0."""
    assert is_local(b"/readyz")
    assert "/readyz" in SERVICES["gateway"]["healthcheck"]["test"][-1]
    _until(lambda: all(map(processes.is_healthy, OURS)), lambda: processes.said("gateway"))
    url = f"http://127.0.0.1:{processes.ports['gateway:8080']}/v1/chat/completions"
    asked = json.dumps({"model": "demo-model", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 4})
    request = urllib.request.Request(url, asked.encode(), {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=PATIENCE_S) as response:
        assert json.load(response)["object"] == "chat.completion"
        assert response.headers["x-aibrix-replica"] in OURS
    with urllib.request.urlopen(
        f"http://127.0.0.1:{processes.ports['gateway:9090']}/metrics", timeout=PATIENCE_S
    ) as response:
        assert b'aibrix_gateway_replica_up{replica="demo1"' in response.read()
    for name in OURS[1:]:
        assert processes.end(name) == 0, processes.said(name)
    _until(lambda: not processes.is_healthy("gateway"), lambda: processes.said("gateway"))
    assert processes.end("gateway") == 0, processes.said("gateway")
    assert "Traceback" not in processes.said("gateway")
