"""Several workers behind one address: even, right in what they say together, and replaced without anybody noticing."""

from __future__ import annotations

import json
import os
import re
import signal
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.ops.daemons import at, document, engines, get
from tests.ops.load import Load, until
from tests.ops.manager import Manager
from tests.ops.test_upgrades import Setting


@pytest.fixture
def fleet() -> Iterator[list[str]]:
    """Two engines that take their time."""
    with engines(2, "--prefill", "0", "--decode", "50", "--batch", "64") as urls:
        yield urls


class Workers(Setting):
    """Several of them, and the manager above."""

    def __init__(self, folder: Path, fleet: list[str], workers: int, *, more: str = "") -> None:
        super().__init__(folder, fleet, more=more)
        self.replicas = len(fleet)
        self.command += ["--workers", str(workers)]
        self.manager = Manager(self.command, watchdog_s=30.0)

    def __enter__(self) -> Workers:
        self.manager.__enter__()
        self.ready()
        up = f"{self.replicas} of {self.replicas} replicas up"
        self.manager.until(lambda: self.manager.last("STATUS").endswith(up), "the replicas are up")
        return self

    def __exit__(self, *exc: Any) -> None:
        if exc[0] is None:
            assert self.manager.stop() == 0
        self.manager.__exit__(*exc)

    def pids(self) -> list[int]:
        """The processes that serve, by what their supervisor logged."""
        found: dict[str, int] = {}
        for index, pid in re.findall(r"worker (\d+) is ready: (\d+)", self.manager.log.read_text()):
            found[index] = int(pid)
        return [pid for _, pid in sorted(found.items())]

    def metric(self, name: str, **labels: str) -> float:
        """The sum of its samples."""
        total, text = 0.0, get(self.admin, "/metrics")[1]
        for line in text.splitlines():
            if re.match(rf"aibrix_gateway_{name}[ {{]", line) and all(
                f'{key}="{value}"' in line for key, value in labels.items()
            ):
                total += float(line.rpartition(" ")[2])
        return total

    def all_say(self, name: str, value: float) -> bool:
        """Whether each worker, when it is asked, says this of the demo engines' model."""
        said: dict[str, set[float]] = {}
        for _ in range(12):
            with urllib.request.urlopen(f"http://127.0.0.1:{self.admin}/metrics", timeout=30) as answer:
                lines = answer.read().decode().splitlines()
            found = [line for line in lines if line.startswith(f"aibrix_gateway_{name}{{") and "demo-model" in line]
            total = sum(float(line.rpartition(" ")[2]) for line in found)
            said.setdefault(str(answer.headers["x-aibrix-worker"]), set()).add(total)
        return len(said) == len(self.pids()) and all(values == {value} for values in said.values())


def post(port: int, path: str, body: object = None, method: str = "POST") -> int:
    """To the admin API."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", data, method=method)
    with urllib.request.urlopen(request, timeout=30) as answer:
        return int(answer.status)


def test_they_share_the_work(tmp_path: Path, fleet: list[str]) -> None:
    """Connections go to all; replicas are chosen by what all of them do; numbers are those of all."""
    with Workers(tmp_path, fleet, 4) as several:
        assert len(several.pids()) == 4
        with Load(several.port, clients=32, tokens=10) as load:
            load.more(600)
            until(lambda: several.manager.last("STATUS").startswith("serving with 4 of 4 workers: "), "it says so")
            first, second = (sum(count.values()) for count in zip_in_flight(several))
            assert first + second >= 10
            load.finish()
        assert load.failed == []
        shares = sorted(load.replicas.values())
        assert shares[0] > 0.9 * shares[1], load.replicas
        until(lambda: several.metric("requests_total", model="demo-model") == load.done, "all are counted")
        until(lambda: document(several.admin, "/api/stats")["ended"] >= load.done, "here, too")
        until(lambda: document(several.admin, "/api/stats")["under_way"] == 0, "nothing is under way")
        stats = document(several.admin, "/api/stats")
        assert stats["last_60s"]["requests_per_s"] > 0
        assert several.metric("replica_up") == 2
        with urllib.request.urlopen(f"http://127.0.0.1:{several.admin}/api/requests", timeout=30) as answer:
            assert int(answer.headers["x-aibrix-worker"]) in range(4)


def zip_in_flight(several: Workers) -> list[dict[str, int]]:
    """What each replica has in flight, as any worker sees it."""
    replicas = document(several.admin, "/api/replicas")["replicas"]
    return [{replica["name"]: replica["in_flight"]} for replica in replicas]


def test_requests_of_all(tmp_path: Path, fleet: list[str]) -> None:
    """Found whichever worker they are with, and whichever is asked; a reload for the API reaches all."""
    with Workers(tmp_path, fleet, 3) as several:
        with Load(several.port, clients=0, streams=12, stream_tokens=200, again=False) as load:
            until(lambda: load.begun == 12, "all stream")
            for _ in range(6):
                listed = document(several.admin, "/api/requests?state=now")
                assert (listed["under_way"], len(listed["requests"])) == (12, 12)
            for request in listed["requests"]:
                assert document(several.admin, f"/api/requests/{request['id']}")["id"] == request["id"]
                assert document(several.admin, f"/api/explain/{request['id']}")["id"] == request["id"]
            assert get(several.admin, "/api/requests/nobody")[0] == 404
        assert load.failed == []
        assert post(several.admin, "/api/reload") == 200
        until(lambda: several.metric("config_reloads_total", outcome="taken") == 3, "all have read it")


def test_one_is_killed(tmp_path: Path, fleet: list[str]) -> None:
    """Its own streams break, and no others; who connects waits for its successor; what it counted stays."""
    with Workers(tmp_path, fleet, 4) as several:
        with Load(several.port, clients=0, streams=32, stream_tokens=250, again=False) as load:
            until(lambda: load.begun == 32, "all stream")
            until(lambda: document(several.admin, "/api/stats")["under_way"] == 32, "all are told of")
            first, second = (sum(count.values()) for count in zip_in_flight(several))
            assert abs(first - second) <= 2
            pids = several.pids()
            os.kill(pids[1], signal.SIGKILL)
            with Load(several.port, clients=16, tokens=2) as others:
                others.more(300)
                until(lambda: several.pids()[1] != pids[1], "another one is there")
                others.finish()
            assert others.failed == []
            load.finish()
        assert 0 < len(load.failed) < 24, load.failed
        assert load.streams == 32 - len(load.failed)
        assert all("IncompleteRead" in failed or "reset" in failed for failed in load.failed), load.failed
        until(lambda: sum(sum(one.values()) for one in zip_in_flight(several)) == 0, "nothing is in flight")
        assert [old == new for old, new in zip(pids, several.pids(), strict=True)] == [True, False, True, True]


def test_counts_outlive_a_worker(tmp_path: Path, fleet: list[str]) -> None:
    """What it wrote down is its successor's; and no number goes back."""
    with Workers(tmp_path, fleet, 2) as several:
        with Load(several.port, clients=8, tokens=2) as load:
            load.more(100)
        # Each has written its counts down once the others tell them: what one knows of itself is not enough.
        until(lambda: several.all_say("requests_total", load.done), "all are counted, and each knows it")
        for _ in range(2):
            for pid in several.pids():
                os.kill(pid, signal.SIGKILL)
                until(lambda pid=pid: pid not in several.pids(), "another one is there")
                until(
                    lambda: several.metric("requests_total", model="demo-model") == load.done,
                    f"nothing of {load.done} is lost, or counted twice",
                )


def test_they_are_replaced_one_by_one(tmp_path: Path, fleet: list[str]) -> None:
    """By SIGUSR2, and one alone by SIGTERM, beneath clients who never stop asking."""
    with Workers(tmp_path, fleet, 2) as several:
        pids = several.pids()
        with Load(several.port, clients=8, streams=12, stream_tokens=150) as load:
            load.more(20)
            several.manager.send(signal.SIGUSR2)
            until(lambda: not set(several.pids()) & set(pids), "all are new")
            load.more(40)
            new = several.pids()
            os.kill(new[0], signal.SIGTERM)
            until(lambda: several.pids()[0] != new[0], "one is replaced")
            load.more(40)
            load.finish()
        assert load.failed == []
        assert several.pids()[1] == new[1]
        until(lambda: "the workers have been replaced" in several.manager.log.read_text(), "it is said")
        until(lambda: all(several.manager.gone(pid) for pid in (*pids, new[0])), "the old ones are over")
        until(lambda: several.metric("requests_total", model="demo-model") == load.done, "all are counted")


def test_a_new_one_that_does_not_start(tmp_path: Path, fleet: list[str]) -> None:
    """Then no further one is replaced, and those that are there serve on."""
    with Workers(tmp_path, fleet, 2) as several:
        pids = several.pids()
        several.path.write_text("nonsense = 1\n")
        several.manager.send(signal.SIGUSR2)
        several.manager.until(lambda: "; not replaced: worker 0: " in several.manager.last("STATUS"), "it says why")
        assert several.pids() == pids
        with Load(several.port, clients=4) as load:
            load.more(20)
        assert load.failed == []


def test_a_reload(tmp_path: Path, fleet: list[str]) -> None:
    """Reaches all of them; a file that is wrong changes none."""
    with Workers(tmp_path, fleet, 2) as several:
        one = several.text[: several.text.rindex("[[replica]]")]
        with Load(several.port, clients=8, streams=4) as load:
            several.path.write_text(one)
            several.manager.send(signal.SIGHUP)
            until(lambda: several.metric("config_reloads_total") == 2, "both have read it")
            assert several.manager.lines.count("READY=1") == 2
            load.more(20)
            names = {
                replica["name"] for _ in range(8) for replica in document(several.admin, "/api/replicas")["replicas"]
            }
            assert len(names) <= 2
            several.path.write_text("nonsense = 1\n")
            several.manager.send(signal.SIGHUP)
            several.manager.until(lambda: "; not reloaded: " in several.manager.last("STATUS"), "it says why")
            load.more(20)
            load.finish()
        assert load.failed == []


def test_what_one_is_told_all_know(tmp_path: Path, fleet: list[str]) -> None:
    """Replicas that are drained, ejected, added, registered, removed by hand: whichever worker was asked."""
    with Workers(tmp_path, fleet, 3) as several, engines(1, "--prefill", "0", "--decode", "0") as (more,):
        admin = several.admin

        def seen(name: str) -> set[str]:
            """Its state, as whichever worker is asked says it."""
            found = [
                {replica["name"]: replica["state"] for replica in document(admin, "/api/replicas")["replicas"]}
                for _ in range(12)
            ]
            return {states.get(name, "none") for states in found}

        name = fleet[0].removeprefix("http://")
        for verb, state in (("drain", "draining"), ("undrain", "up"), ("eject", "ejected"), ("restore", "up")):
            post(admin, f"/api/replicas/{name}/{verb}")
            until(lambda state=state: seen(name) == {state}, f"{verb} is known to all")
        post(admin, "/api/replicas", {"url": more, "name": "more"})
        until(lambda: seen("more") == {"up"}, "all have it")
        post(admin, f"/api/replicas/{name}/drain")
        until(lambda: seen(name) == {"draining"}, "all know")
        pids = several.pids()
        os.kill(pids[0], signal.SIGKILL)
        until(lambda: several.pids()[0] != pids[0], "another one is there")
        until(lambda: seen("more") == {"up"} and seen(name) == {"draining"}, "it has been told")
        assert post(admin, "/api/replicas/more", method="DELETE") == 202
        until(lambda: seen("more") <= {"none", "leaving"}, "nobody has it any more")


def test_what_is_added_is_kept(tmp_path: Path, fleet: list[str]) -> None:
    """In one file for all, into which each writes what it is told: they do not get into each other's way."""
    kept = tmp_path / "replicas.json"
    names = [f"late{number}" for number in range(8)]
    with Workers(tmp_path, fleet, 3, more=f'[discovery]\nstate_file = "{kept}"\n') as several:
        with ThreadPoolExecutor(4) as pool:
            replicas = [{"url": f"http://127.0.0.1:1/{name}", "name": name, "models": ["late"]} for name in names]
            assert set(pool.map(lambda replica: post(several.admin, "/api/replicas", replica), replicas)) == {201}
        until(
            lambda: sorted(replica["name"] for replica in json.loads(kept.read_bytes())) == names,
            "the file has them all",
        )
        assert "will be forgotten" not in several.manager.log.read_text()
    assert [path.name for path in tmp_path.glob("*replicas.json*")] == [kept.name]


def test_a_breaker_is_everybodys(tmp_path: Path) -> None:
    """What one worker found, none tries any further."""
    with (
        engines(1, "--prefill", "0", "--decode", "0") as (good,),
        engines(1, "--prefill", "0", "--decode", "0") as (bad,),
    ):
        more = "[breaker]\nopen = 60.0\nopen_max = 60.0\n[retry]\nattempts = 1\n"
        with Workers(tmp_path, [good, bad], 3, more=more) as several:
            name = bad.removeprefix("http://")
            port = int(bad.rpartition(":")[2])
            assert post(port, "/demo/faults", {"fault": "status=500", "count": 100000}) == 200
            with Load(several.port, clients=1, tokens=1) as load:
                until(lambda: len(load.failed) >= 5, "it fails")
                until(
                    lambda: (
                        {
                            replica["state"]
                            for _ in range(12)
                            for replica in document(several.admin, "/api/replicas")["replicas"]
                            if replica["name"] == name
                        }
                        == {"ejected"}
                    ),
                    "all leave it out",
                )
                failed = len(load.failed)
                load.more(30)
            assert len(load.failed) <= failed + 1


def test_a_worker_that_hangs(tmp_path: Path, fleet: list[str]) -> None:
    """Is ended, and replaced; the others serve meanwhile."""
    with Workers(tmp_path, fleet, 2) as several:
        pids = several.pids()
        os.kill(pids[0], signal.SIGSTOP)
        until(lambda: several.pids()[0] != pids[0], "another one is there", 90.0)
        assert "has said nothing for 10 s" in several.manager.log.read_text()
        with Load(several.port, clients=8) as load:
            load.more(40)
        assert load.failed == []


def test_the_supervisor_is_killed(tmp_path: Path, fleet: list[str]) -> None:
    """The workers finish what they have and end; the manager has the sockets, and the next supervisor takes them."""
    with Workers(tmp_path, fleet, 2) as several:
        pids = several.pids()
        assert (
            sorted(several.manager.store)
            == [
                *(f"stored-tcp%2F127.0.0.1%2F{several.port}%23{index}" for index in range(2)),
                f"stored-tcp%2F127.0.0.1%2F{several.admin}",
            ]
            or len(several.manager.store) == 3
        )
        with Load(several.port, clients=0, streams=4, again=False) as load:
            until(lambda: load.begun == 4, "all stream")
            several.manager.send(signal.SIGKILL)
            load.finish()
        assert load.failed == []
        until(lambda: all(several.manager.gone(pid) for pid in pids), "they are over")
        several.manager.start()
        with Load(several.port, clients=4) as load:
            load.more(20)
        assert load.failed == []


def test_what_cannot_be(tmp_path: Path) -> None:
    """Is named, with exit code 2 or usage."""
    import subprocess

    from tests.ops.daemons import gateway

    for flags, said in (
        (("--workers", "0"), "--workers: found 0, expected 1 to 32"),
        (("--workers", "2", "--demo"), "--workers: found with --demo"),
        (("--workers", "2", "--listen", "tcp:0"), "listen: found 'tcp:0', expected a port that all workers can share"),
    ):
        done = subprocess.run(gateway(*flags), capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode != 0
        assert said in done.stdout + done.stderr
        assert at
