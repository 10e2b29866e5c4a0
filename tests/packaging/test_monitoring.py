"""What deploy/prometheus and deploy/grafana promise, with a real Prometheus that reads a gateway at work."""

from __future__ import annotations

import json
import math
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_metrics
from prometheus_client.parser import text_string_to_metric_families

from aibrix_twisted.service.telemetry.families import FAMILIES
from aibrix_twisted.service.telemetry.labels import values_of
from tools import dashboards, metrics_page

ROOT = Path(__file__).resolve().parents[2]
PROMETHEUS = ROOT / "deploy" / "prometheus"

#: For a process to come up, or for a figure to be there, on a busy machine.
PATIENCE_S = 60.0

CONFIG = """
listen = ["tcp:{port}:interface=127.0.0.1"]
admin = "tcp:{admin}:interface=127.0.0.1"
access_log = {{path = ""}}
[metrics]
genai = true
[queue]
wait_down = 0.5
[[replica]]
name = "gone"
url = "http://127.0.0.1:{nobody}"
models = ["away"]
"""


def _command(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed: apt-get install prometheus")
    return found


def _promtool(*arguments: object, given: bytes = b"") -> str:
    done = subprocess.run(
        [_command("promtool"), *map(str, arguments)], input=given, capture_output=True, timeout=PATIENCE_S, check=False
    )
    said = (done.stdout + done.stderr).decode()
    assert done.returncode == 0, said
    return said


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _get(url: str, accept: str = "*/*") -> tuple[int, bytes]:
    """Status and body; 0 while nobody listens."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers={"accept": accept}), timeout=10) as response:
            return response.status, response.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()
    except OSError:
        return 0, b""


def _until(done: Callable[[], bool], what: Callable[[], str]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not done():
        assert time.monotonic() < deadline, what()
        time.sleep(0.25)


class Clients(threading.Thread):
    """They never stop asking: for streams and for whole answers, for what there is not, and some leave."""

    def __init__(self, port: int) -> None:
        super().__init__(daemon=True)
        self._url = f"http://127.0.0.1:{port}"
        self._ended = threading.Event()
        self.rounds = 0

    def run(self) -> None:
        while not self._ended.is_set():
            self._ask("/v1/chat/completions", model="demo-model", stream=True, max_tokens=8)
            self._ask("/v1/chat/completions", model="demo-model", max_tokens=4)
            self._ask("/v1/completions", policy="slo", model="demo-model", prompt="Hello", max_tokens=4)
            self._ask("/v1/completions", model="demo-model", prompt="Say hello", max_tokens=4)
            self._ask("/v1/chat/completions", model="demo-model", stream=True, max_tokens=200, leave=True)
            self._ask("/v1/chat/completions", model="nobody-has-it")
            self._ask("/v1/chat/completions", model="away")
            self._ask("/v1/nothing")
            self.rounds += 1

    def end(self) -> None:
        self._ended.set()
        self.join()

    def _ask(self, path: str, *, leave: bool = False, policy: str = "", **document: Any) -> None:
        document.setdefault("messages", [{"role": "user", "content": "Say hello to all of them, and then go on."}])
        body, headers = json.dumps(document).encode(), {"content-type": "application/json"}
        if policy:
            headers["routing-strategy"] = policy
        try:
            with urllib.request.urlopen(
                urllib.request.Request(self._url + path, body, headers), timeout=30
            ) as response:
                response.read(1 if leave else -1)
        except urllib.error.HTTPError as error:
            with error:
                error.read()


class Watched:
    """A gateway at work.

    @ivar target: where its metrics are.
    """

    def __init__(self, target: str) -> None:
        self.target = target

    def metrics(self, accept: str = "text/plain") -> bytes:
        """As they are now."""
        status, body = _get(f"http://{self.target}/metrics", accept)
        assert status == 200
        return body


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    """With two demo engines and a replica that is not there."""
    folder = tmp_path_factory.mktemp("gateway")
    port, admin = _free_port(), _free_port()
    (folder / "gateway.toml").write_text(CONFIG.format(port=port, admin=admin, nobody=_free_port()))
    twistd = Path(sys.executable).parent / "twistd"
    with (folder / "said").open("wb") as said:
        process = subprocess.Popen(
            (twistd, "-n", "--pidfile=", "aibrix-gateway", "-c", "gateway.toml", "--demo"),
            cwd=folder,
            stdout=said,
            stderr=said,
        )
    clients = Clients(port)
    try:
        _until(lambda: _get(f"http://127.0.0.1:{port}/readyz")[0] == 200, (folder / "said").read_text)
        clients.start()
        _until(lambda: clients.rounds > 1, (folder / "said").read_text)
        yield Watched(f"127.0.0.1:{admin}")
    finally:
        if clients.is_alive():
            clients.end()
        process.kill()
        process.wait()


class Prometheus:
    """It has read the gateway for a while."""

    def __init__(self, port: int) -> None:
        self._url = f"http://127.0.0.1:{port}/api/v1/"

    def ask(self, path: str, **query: str) -> Any:
        """What its API says."""
        status, body = _get(f"{self._url}{path}?{urllib.parse.urlencode(query)}")
        document = json.loads(body or b"{}")
        assert status == 200, (query, document)
        return document["data"]

    def values(self, expr: str) -> list[float]:
        """Of every series that the query leads to."""
        return [float(found["value"][1]) for found in self.ask("query", query=expr)["result"]]

    @property
    def up(self) -> bool:
        """It listens, and the gateway answers it."""
        return _get(f"{self._url}query?query=up")[0] == 200 and self.values("up") == [1.0]


@pytest.fixture(scope="module")
def prometheus(gateway: Watched, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """Configured as deploy/prometheus says, but for where the gateway is, and how often it is asked."""
    command, folder, port = _command("prometheus"), tmp_path_factory.mktemp("prometheus"), _free_port()
    scrape = (PROMETHEUS / "scrape.yml").read_text("utf-8")
    for said, meant in (("127.0.0.1:9090", gateway.target), ("scrape_interval: 10s", "scrape_interval: 500ms")):
        assert scrape.count(said) == 1
        scrape = scrape.replace(said, meant)
    config = f"global: {{evaluation_interval: 1s}}\nrule_files: [{PROMETHEUS / 'alerts.yml'}]\n{scrape}"
    (folder / "prometheus.yml").write_text(config)
    _promtool("check", "config", folder / "prometheus.yml")
    with (folder / "said").open("wb") as said_by_it:
        process = subprocess.Popen(
            (
                command,
                f"--config.file={folder / 'prometheus.yml'}",
                f"--storage.tsdb.path={folder / 'data'}",
                f"--web.listen-address=127.0.0.1:{port}",
            ),
            stdout=said_by_it,
            stderr=said_by_it,
        )
    try:
        asked = Prometheus(port)
        _until(lambda: asked.up, (folder / "said").read_text)
        yield asked
    finally:
        process.kill()
        process.wait()


def test_promtool_has_nothing_to_say_of_our_metrics(gateway: Watched) -> None:
    """Names, units, help, types: as Prometheus's own tool wants them, of a gateway that has served."""
    text = gateway.metrics()
    assert b"gen_ai_client_token_usage_bucket" in text
    assert _promtool("check", "metrics", given=text) == ""


def test_labels_have_the_values_that_are_documented(gateway: Watched) -> None:
    """Where the values of a label are a closed set, no other comes; buckets are where they are said to be."""
    declared = {family.prefix + family.name: family for family in FAMILIES}
    seen = set()
    for found in text_string_to_metric_families(gateway.metrics().decode()):
        if found.name.startswith("process_"):
            continue
        family = declared[found.name]
        assert found.documentation == family.text
        bounds = {float(sample.labels["le"]) for sample in found.samples if sample.name.endswith("_bucket")}
        assert not bounds or bounds == {*family.bounds, math.inf}, found.name
        for sample in found.samples:
            labels = {name: value for name, value in sample.labels.items() if name != "le"}
            assert set(labels) == set(family.labels), sample
            for label, value in labels.items():
                values = values_of(family, label)
                assert values is None or value in values, sample
            seen.add(found.name)
    assert len(seen) > 0.9 * len(declared), set(declared) - seen


def test_open_metrics(gateway: Watched) -> None:
    """The same in the other format, by its strict reader; it is what Prometheus asks for first."""
    text = gateway.metrics("application/openmetrics-text; version=1.0.0").decode()
    names = {family.name for family in open_metrics(text)}
    assert {family.prefix + family.name for family in FAMILIES} <= names


def test_the_page_is_what_is_declared() -> None:
    """docs/metrics.md is made, not written."""
    assert metrics_page.PAGE.read_text("utf-8") == metrics_page.page(), "run: python -m tools.metrics_page"


def test_the_dashboards_are_what_is_said() -> None:
    """deploy/grafana is made, not written, and has nothing else."""
    made = {path.name: path.read_text("utf-8") for path in dashboards.FOLDER.iterdir()}
    assert made == dashboards.documents(), "run: python -m tools.dashboards"


def test_dashboards_can_be_imported() -> None:
    """What Grafana asks of one: a title and an id of its own, panels that do not lie on each other, a source to choose."""
    documents = [json.loads(document) for document in dashboards.documents().values()]
    assert len({document["uid"] for document in documents}) == len(documents)
    for document in documents:
        assert document["schemaVersion"] >= 38
        assert document["templating"]["list"][0]["type"] == "datasource"
        panels = document["panels"]
        assert len({panel["id"] for panel in panels}) == len(panels)
        places = [panel["gridPos"] for panel in panels]
        cells = [
            (x, y)
            for at in places
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        ]
        assert len(cells) == len(set(cells)), document["title"]
        assert max(x for x, _ in cells) < 24


def _expressions(document: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Title of the panel, and PromQL as Grafana sends it."""
    for panel in document["panels"]:
        for target in panel.get("targets", ()):
            expr = target["expr"].replace("$__rate_interval", "30s").replace("$job", "aibrix-gateway")
            yield panel["title"], re.sub(r"\$(instance|model|replica)\b", ".*", expr)


#: Of a window in which there was no such collection, there is no quantile; all else has to be a number.
_MAY_BE_NAN = ("Collector's pauses, p99",)


def test_every_panel_shows_something(prometheus: Prometheus) -> None:
    """Each query of each dashboard leads to figures."""
    wanted = [
        (f"{name}: {title}", expr)
        for name, document in dashboards.documents().items()
        for title, expr in _expressions(json.loads(document))
    ]
    assert len(wanted) > 40
    missing = dict.fromkeys(wanted)

    def found() -> bool:
        for title, expr in tuple(missing):
            values = prometheus.values(expr)
            if any(not math.isnan(value) or title.endswith(_MAY_BE_NAN) for value in values):
                del missing[title, expr]
        return not missing

    _until(found, lambda: "\n".join(map(str, missing)))


def test_every_example_of_the_page_works(prometheus: Prometheus) -> None:
    """Each query in docs/metrics.md leads to figures."""
    missing = set(metrics_page.QUERIES.values())

    def found() -> bool:
        missing.difference_update([expr for expr in missing if prometheus.values(expr)])
        return not missing

    _until(found, lambda: "\n".join(missing))


def test_prometheus_takes_the_alerts(prometheus: Prometheus) -> None:
    """Each rule can be evaluated; of a gateway with a replica that is not there, the right one is on its way."""

    def pending() -> bool:
        return bool(prometheus.values('ALERTS{alertname="AibrixReplicaDown", replica="gone"}'))

    _until(pending, lambda: str(prometheus.ask("alerts")))
    rules = [rule for group in prometheus.ask("rules")["groups"] for rule in group["rules"]]
    assert rules
    assert {rule["name"]: rule.get("lastError", "") for rule in rules if rule["health"] != "ok"} == {}


def test_alerts_fire_when_they_should() -> None:
    """promtool's own check, and the cases beside the rules; there is one for each alert."""
    assert "SUCCESS" in _promtool("check", "rules", PROMETHEUS / "alerts.yml")
    assert "SUCCESS" in _promtool("test", "rules", PROMETHEUS / "alerts.test.yml")
    named = re.findall(r"- alert: (\w+)", (PROMETHEUS / "alerts.yml").read_text("utf-8"))
    fired = set(re.findall(r'alertname="(\w+)"', (PROMETHEUS / "alerts.test.yml").read_text("utf-8")))
    assert set(named) == fired
    assert len(named) == len(set(named))
