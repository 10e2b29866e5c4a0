"""Each policy before real sockets: what it goes by decides, and what is missing, stale or absurd stops nobody."""

from __future__ import annotations

import base64
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pytest_twisted import ensureDeferred
from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults

from aibrix_twisted.demo import engine as demo_engine
from aibrix_twisted.demo.engine import DemoEngine
from aibrix_twisted.policy import POLICIES
from aibrix_twisted.service.config.load import Source
from aibrix_twisted.service.gateway import Gateway
from tests.e2e.client import Answer, ask, chat
from tests.e2e.fleet import STEADY, Fleet
from tests.e2e.harness import World

CHAT = "/v1/chat/completions"
LONG = "Once upon a time there was a gateway that knew its engines. " * 12

#: Those that go by what engines say of themselves, and have nothing else.
BY_METRICS = ("least-busy-time", "least-gpu-cache", "least-kv-cache", "least-utilization", "throughput")

Page = Callable[[DemoEngine], bytes]


@pytest.fixture
def pages(monkeypatch: pytest.MonkeyPatch) -> dict[str, Page]:
    """What engines say of themselves, by their names, instead of the truth."""
    found: dict[str, Page] = {}
    truth = demo_engine.exposition
    monkeypatch.setattr(demo_engine, "exposition", lambda engine: found.get(engine.name, truth)(engine))
    return found


def page(**figures: Any) -> Page:
    """This, by vLLM's names."""
    lines = "".join(f'vllm:{name}{{engine="0",model_name="demo-model"}} {value}\n' for name, value in figures.items())
    return lambda engine: lines.encode()


async def asked(world: World, policy: str, text: str = LONG, *, stream: bool = False, **headers: str) -> Answer:
    """One request that is answered."""
    document = chat(stream=stream, tokens=2, messages=[{"role": "user", "content": text}])
    lines = {"routing-strategy": policy, **{name.replace("_", "-"): value for name, value in headers.items()}}
    answer = await ask(world.port, CHAT, document, headers=lines)
    assert (answer.status, answer.whole) == (200, True), answer
    return answer


async def replicas(world: World, policy: str, count: int = 6, **more: Any) -> Counter[str]:
    """Who answers so many requests, one after the other."""
    found: Counter[str] = Counter()
    for _ in range(count):
        found[(await asked(world, policy, **more)).headers["x-aibrix-replica"]] += 1
    return found


async def read_anew(world: World) -> None:
    """Until each engine's metrics have been read once more."""
    now = reactor.seconds()
    loads = [replica.load for replica in world.gateway.fleet.replicas]
    await world.until(lambda: all(load.engine is not None and load.engine.at > now for load in loads), 20.0)


def fallbacks(world: World, policy: str) -> int:
    """How often it has done without."""
    return sum(count for (name, _), count in world.gateway.metrics.policy_fallbacks.items() if name == policy)


@ensureDeferred
async def test_each_policy_whatever_engines_say(pages: dict[str, Page]) -> None:
    """The truth, nothing, NaN, below zero, beyond all measure, or something else on each: all are served, by the policy
    that was asked for, streamed or not.
    """
    async with World(engines=3, profile="vllm", engine="vllm") as world:
        names = ("num_requests_running", "num_requests_waiting", "kv_cache_usage_perc", "prompt_tokens_total",
                 "generation_tokens_total", "request_queue_time_seconds_sum", "request_queue_time_seconds_count")  # fmt: skip
        absurd = [page(**dict.fromkeys(names, value)) for value in ("NaN", "-5", "1e30", "+Inf")]
        for given in ([], [page()] * 3, *([one] * 3 for one in absurd), absurd[:3]):
            pages.update(zip(("e0", "e1", "e2"), given, strict=False))
            if given and given[0] in absurd[2:3]:
                await read_anew(world)
            for number, policy in enumerate(POLICIES):
                answer = await asked(world, policy, stream=bool(number % 2))
                assert answer.headers["routing-strategy"] == policy
        await world.until(world.settled)


@ensureDeferred
async def test_what_engines_say_decides(pages: dict[str, Page]) -> None:
    """The emptiest cache, where nobody waits; the one that is not said to be busy; nothing is fallen back to."""
    for name, usage, waiting in (("e0", 0.9, 0), ("e1", 0.2, 0), ("e2", 0.1, 3)):
        pages[name] = page(kv_cache_usage_perc=usage, num_requests_waiting=waiting, num_requests_running=1)
    async with World(engines=3, profile="vllm", engine="vllm") as world:
        await read_anew(world)
        for policy, chosen in (("least-gpu-cache", "e2"), ("least-kv-cache", "e2"), ("least-utilization", "e1")):
            await read_anew(world)
            assert await replicas(world, policy) == {chosen: 6}, policy
            assert fallbacks(world, policy) == 0


@ensureDeferred
async def test_missing_and_stale(pages: dict[str, Page]) -> None:
    """Who says nothing is not taken while another does; where none does, or what was said is too old, the least loaded
    is, and that is counted.
    """
    pages.update(e0=page(kv_cache_usage_perc=0.99), e1=page(kv_cache_usage_perc="NaN"))
    async with World(engines=2, profile="vllm", engine="vllm") as world:
        await world.until(lambda: world.gateway.fleet.replicas[0].load.engine is not None, 20.0)
        assert await replicas(world, "least-gpu-cache") == {"e0": 6}
        pages["e0"] = page()
        now = world.gateway.fleet.replicas[0].load
        await world.until(lambda: now.fresh_engine(reactor.seconds()) is None, 20.0)
        assert set(await replicas(world, "least-gpu-cache", 20)) == {"e0", "e1"}
        assert fallbacks(world, "least-gpu-cache") == 20
        for policy in BY_METRICS:
            before = fallbacks(world, policy)
            await asked(world, policy)
            assert fallbacks(world, policy) == before + 1, policy


@ensureDeferred
async def test_those_that_know_prompts() -> None:
    """A prompt goes where it was, and one that goes on with it; others are spread; a blend does as its parts."""
    async with World(engines=3, profile="vllm") as world:
        for policy in ("prefix-cache", "prefix-cache-preble", "cache-aware", "load-aware", "least-work",
                       "prefix-cache:9,least-request", "auto"):  # fmt: skip
            text = f"{policy} {LONG}"
            first = (await asked(world, policy, text)).headers["x-aibrix-replica"]
            assert await replicas(world, policy, text=text) == {first: 6}, policy
            assert await replicas(world, policy, 3, text=text + "And so it went on. " * 9) == {first: 3}, policy
            found = {next(iter(await replicas(world, policy, 1, text=f"{n} {policy} {LONG}"))) for n in range(12)}
            assert len(found) > 1, policy


@ensureDeferred
async def test_those_that_keep_together() -> None:
    """Sessions by what the client was told, and by keys; consistent hashing by keys and by prompts."""
    async with World(engines=3, profile="vllm") as world:
        for _ in range(3):
            answer = await asked(world, "session-affinity")
            session = answer.headers["x-session-id"]
            assert base64.b64decode(session).decode() == answer.headers["x-aibrix-replica"]
            assert len(await replicas(world, "session-affinity", x_session_id=session)) == 1
        for policy in ("session-affinity", "consistent-hash"):
            assert len(await replicas(world, policy, x_aibrix_session_key="agent-session-42")) == 1
        assert len(await replicas(world, "consistent-hash")) == 1


@ensureDeferred
async def test_those_that_spread() -> None:
    """A burst goes to all: by count, by lot, in turn, by twos, by work, and by how long it takes."""
    async with World(engines=3, profile="vllm", speed=STEADY) as world:
        for policy in ("least-request", "round-robin", "random", "power-of-two", "least-work", "least-latency"):
            burst: list[Deferred[Answer]] = [
                Deferred.fromCoroutine(asked(world, policy, f"{n} {policy} {LONG}", stream=True)) for n in range(30)
            ]
            counts = Counter(answer.headers["x-aibrix-replica"] for answer in await gatherResults(burst))
            assert len(counts) == 3, (policy, counts)
            if policy == "round-robin":
                assert set(counts.values()) == {10}, counts


@ensureDeferred
async def test_a_dead_replica_is_forgotten() -> None:
    """It knew a prompt; it died, and came back: it knows nothing, and whoever had it meanwhile has it."""
    async with Fleet(0, 1, engines=2) as world:
        await world.until(lambda: world.names == {"e0", "e1"}, 20.0)
        first = (await asked(world, "prefix-cache")).headers["x-aibrix-replica"]
        number = int(first[1])
        await world.stop(number)
        other = (await asked(world, "prefix-cache")).headers["x-aibrix-replica"]
        assert other != first
        world.start(number)
        await world.until(lambda: world.names == {"e0", "e1"}, 20.0)
        assert await replicas(world, "prefix-cache") == {other: 6}


@ensureDeferred
async def test_it_can_be_explained() -> None:
    """By the admin API, after it was done, and before."""
    async with Fleet(0, 1, engines=2) as world:
        await world.until(lambda: world.names == {"e0", "e1"}, 20.0)
        body = chat(messages=[{"role": "user", "content": LONG}])
        before = await world.api("POST", "route", {"headers": {"routing-strategy": "auto"}, "body": body})
        assert (before["policy"], len(before["decision"]["candidates"])) == ("least-work", 2)
        answer = await asked(world, "auto", stream=True, x_request_id="why")
        await world.until(world.settled)
        said = await world.api("GET", "explain/why")
        assert said["decisions"][0]["replica"] == said["replica"] == answer.headers["x-aibrix-replica"]
        assert (said["outcome"], said["decisions"][0]["policy"]) == ("complete", "least-work")
        assert said["ttft_s"] > 0
        metrics = (await ask(world.admin, "/metrics", method="GET")).body.decode()
        assert re.search(r"aibrix_gateway_policy_fallbacks_total", metrics)


@ensureDeferred
async def test_what_is_known_outlives_the_gateway(tmp_path: Path) -> None:
    """A prompt goes back to where it was, though another process asks."""
    state = f'[prefix_cache]\nstate_file = "{tmp_path / "prefixes"}"\n[health]\nprobe_interval = 0.3\n'
    async with Fleet(0, 1, engines=2, more=state) as world:
        await world.until(lambda: world.names == {"e0", "e1"}, 20.0)
        first = (await asked(world, "prefix-cache")).headers["x-aibrix-replica"]
        await world.gateway.stopService()
        source = Source(str(world.path), {})
        world.gateway = Gateway(reactor, source.load(), source)
        world.gateway.privilegedStartService()
        world.gateway.startService()
        await world.until(lambda: world.names == {"e0", "e1"}, 20.0)
        assert await replicas(world, "prefix-cache") == {first: 6}
