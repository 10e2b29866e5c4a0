"""A fleet of real engines that are restarted, stopped and measured under load."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from statistics import median, quantiles

import pytest

from tests.engines import processes
from tests.engines.load import Load, Seen, until
from tests.engines.processes import facts

#: Of p99, after and before.
MAX_RATIO = 1.5

#: Windows of requests, before and after, whose p99 is taken.
WINDOWS = 5
WINDOW = 100

HEALTH = "[health]\nprobe_interval = 1.0\nprobe_timeout = 1.0\nslow_start = 1.0\n[queue]\nwait_down = 180.0\n"


class Replicas:
    """Engines that are restarted where they were.

    @ivar running: as they are now.
    """

    def __init__(self, running: list[processes.Running]) -> None:
        self.running = running

    def gateway(self, count: int, more: str = HEALTH) -> processes.Running:
        """A gateway before the first so many, as C{r0}, C{r1}, ...; their engines are not said."""
        tables = [
            f'[[replica]]\nname = "r{number}"\nurl = "{engine.url}"\n'
            for number, engine in enumerate(self.running[:count])
        ]
        return processes.gateway(config=more + "".join(tables))


@pytest.fixture(scope="module")
def pair() -> Iterator[Replicas]:
    """Two vLLMs."""
    with ThreadPoolExecutor(2) as pool:
        replicas = Replicas(list(pool.map(lambda _: processes.vllm(), range(2))))
    yield replicas
    for engine in replicas.running:
        engine.stop()


def up(gateway: processes.Running) -> set[str]:
    """Those that are."""
    return {name for name, said in facts(gateway).items() if said["state"] == "up"}


def is_computing(gateway: processes.Running, name: str) -> bool:
    """Its own metrics say that it runs something."""
    load = facts(gateway)[name]["load"]
    return load is not None and load["running"] > 0


def test_vllm_is_restarted_in_turn(pair: Replicas) -> None:
    """Under load: nothing fails but streams that had begun; what the engines are and do is known."""
    gateway = pair.gateway(2)
    try:
        with Load(gateway, clients=8, tokens=16) as load:
            for name in ("r0", "r1"):
                until(lambda: is_computing(gateway, name))  # noqa: B023 - waited for here
            assert {said["engine"] for said in facts(gateway).values()} == {"vllm"}
            for number, engine in enumerate(pair.running):
                load.more(16)
                engine.stop()
                until(lambda: up(gateway) == {f"r{1 - number}"})  # noqa: B023 - waited for here
                assert {seen.replica for seen in load.more(16)} == {f"r{1 - number}"}
                pair.running[number] = processes.vllm(port=engine.port)
                until(lambda: f"r{number}" in {seen.replica for seen in load.more(8)})  # noqa: B023 - as above
        broken = [seen for seen in load.seen if seen.error]
        print(f"\n{len(load.seen)} requests, {len(broken)} streams cut")
        assert load.failed == []
        assert len(broken) <= 8
    finally:
        assert gateway.stop() == 0


def test_the_only_vllm_is_restarted(pair: Replicas) -> None:
    """Requests wait while it is away, and then succeed."""
    gateway = pair.gateway(1)
    try:
        with Load(gateway, clients=6, tokens=16) as load:
            load.more(12)
            pair.running[0].stop()
            until(lambda: not up(gateway))
            count, away = len(load.seen), time.monotonic()
            pair.running[0] = processes.vllm(port=pair.running[0].port)
            away_s = time.monotonic() - away
            waited = load.seen[count:]
            assert load.more(12)
        assert load.failed == []
        assert max(seen.seconds for seen in load.seen) > away_s / 2, "they waited"
        print(f"\n{len(load.seen)} requests, {len(waited)} while it came up; {max(s.seconds for s in load.seen):.1f} s")
    finally:
        assert gateway.stop() == 0


def p99(window: list[Seen]) -> float:
    """In seconds."""
    return quantiles([seen.seconds for seen in window], n=100)[98]


def test_one_of_three_stands_still() -> None:
    """A process that is stopped takes requests and says nothing: after the first of them have timed out, all is as
    before; continued, it serves again.

    The best of three times: whatever else this machine does may fall upon one half of a comparison.
    """
    engines = Replicas([processes.llama_server() for _ in range(3)])
    timeouts = "[timeouts]\nfirst_byte = 2.0\n"
    health = "[health]\nprobe_interval = 0.5\nprobe_timeout = 0.5\nslow_start = 1.0\n"
    gateway = engines.gateway(3, timeouts + health)
    ratios: list[float] = []
    try:
        with Load(gateway, clients=6, tokens=4) as load:
            for name in ("r0", "r1", "r2"):
                until(lambda: is_computing(gateway, name))  # noqa: B023 - waited for here
            assert {said["engine"] for said in facts(gateway).values()} == {"llamacpp"}
            while min(ratios, default=MAX_RATIO + 1) > MAX_RATIO and len(ratios) < 3:
                ratios.append(stop_and_continue(gateway, engines.running[0], load))
        assert min(ratios) <= MAX_RATIO, ratios
    finally:
        os.kill(engines.running[0].process.pid, signal.SIGCONT)
        assert gateway.stop() == 0
        for engine in engines.running:
            engine.stop()


def stop_and_continue(gateway: processes.Running, engine: processes.Running, load: Load) -> float:
    """Stop C{r0}, wait until what it had has timed out, and continue it.

    @return: the p99 meanwhile, as a multiple of that before.
    """
    before = [p99(load.more(WINDOW)) for _ in range(WINDOWS)]
    had = len(load.failed)
    os.kill(engine.process.pid, signal.SIGSTOP)
    until(lambda: up(gateway) == {"r1", "r2"})
    said = facts(gateway)["r0"]
    until(lambda: facts(gateway)["r0"]["in_flight"] == 0)
    alone = time.monotonic()
    after = [p99(load.more(WINDOW)) for _ in range(WINDOWS)]
    late = len(load.failed) - had
    assert [seen for seen in load.seen if seen.error and seen.asked >= alone] == []
    assert facts(gateway)["r0"]["leased"] == said["leased"], "it is left alone"
    os.kill(engine.process.pid, signal.SIGCONT)
    until(lambda: "r0" in up(gateway))
    until(lambda: "r0" in {seen.replica for seen in load.more(50)})
    ratio = median(after) / median(before)
    print(f"\n{said['state']}: {said['reason']}; {late} timed out; p99 {median(before) * 1000:.1f} ms before, "
          f"{median(after) * 1000:.1f} ms after: x {ratio:.2f}")  # fmt: skip
    assert late <= 24
    return ratio
