"""Real engines that die in the middle of a stream, and others that go on with it: the client sees one stream."""

from __future__ import annotations

import json
import os
import re
import signal
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import pytest

from tests.engines import home, processes
from tests.engines.clients import client_of
from tests.engines.load import until

TOKENS = 40
CHAT: dict[str, Any] = {"messages": [{"role": "user", "content": "tell me of harbors"}]}
COMPLETION: dict[str, Any] = {"prompt": "once upon a time"}
ASKED: dict[str, Any] = {
    "model": "tiny",
    "max_tokens": TOKENS,
    "temperature": 0,
    "stream": True,
    "stream_options": {"include_usage": True},
}

#: However slow the machine is, an engine is not taken for dead because it is.
PATIENT = "[health]\nprobe_timeout = 60.0\n"

#: What each event of a stream says in the same way.
SAME = ("id", "model", "object", "created")


def stream(
    url: str, asked: dict[str, Any], at: dict[int, Callable[[str], object]] | None = None, id: str = "some"
) -> list[Any]:
    """What a client reads, event by event; C{[DONE]} is C{None}.

    @param at: what to do once so many events have come; it is told who serves.
    @param id: of the request.
    """
    path = "/v1/chat/completions" if "messages" in asked else "/v1/completions"
    body = json.dumps({**ASKED, **asked}).encode()
    request = urllib.request.Request(url + path, body, {"content-type": "application/json", "x-request-id": id})
    events: list[Any] = []
    with urllib.request.urlopen(request, timeout=120) as response:
        for line in response:
            if line.startswith(b"data: "):
                data = line[6:].strip()
                events.append(None if data == b"[DONE]" else json.loads(data))
                if at and len(events) in at:
                    at[len(events)](response.headers["x-aibrix-replica"])
    return events


def told(events: list[Any], same: tuple[str, ...] = SAME) -> tuple[str, list[int], list[str], Any]:
    """Text, tokens, finishes and usage of a stream that is well formed and whole.

    @param same: what each event says in the same way.
    """
    assert events[-1] is None, events[-1]
    said = events[:-1]
    assert len({tuple(event[name] for name in same) for event in said}) == 1
    choices = [choice for event in said for choice in event["choices"]]
    assert sum("role" in choice.get("delta", {}) for choice in choices) == ("delta" in choices[0])
    text = "".join(choice.get("text") or choice.get("delta", {}).get("content") or "" for choice in choices)
    ids = [token for choice in choices for token in choice.get("token_ids") or ()]
    finishes = [choice["finish_reason"] for choice in choices if choice["finish_reason"]]
    usages = [event["usage"] for event in said if event.get("usage")]
    assert len(usages) == 1 and usages[0] is said[-1]["usage"]
    return (
        text,
        ids,
        finishes,
        {name: usages[0][name] for name in ("prompt_tokens", "completion_tokens", "total_tokens")},
    )


def heals(gateway: processes.Running) -> dict[str, int]:
    """How many streams were healed, and how many not."""
    with urllib.request.urlopen(gateway.admin + "/metrics", timeout=10) as response:
        found = re.findall(r'^aibrix_gateway_heals_total\{outcome="(\w+)"\} (\d+)', response.read().decode(), re.M)
    return {outcome: int(count) for outcome, count in found if count != "0"}


class Cut:
    """A gateway before two addresses of engines, either of which can be cut off."""

    def __init__(self, first: processes.Running, second: processes.Running, mode: str, more: str = "") -> None:
        self.shears = processes.Shears()
        self.cutters = [processes.Cutter(engine.port, self.shears) for engine in (first, second)]
        config = f'[heal]\nmode = "{mode}"\n[breaker]\nenabled = false\n{PATIENT}{more}'
        self.gateway = processes.gateway(*(cutter.url for cutter in self.cutters), config=config)

    def stream(self, asked: dict[str, Any], after: int) -> list[Any]:
        """One that is cut after so many events, where it has as many."""
        self.shears.after = after
        return stream(self.gateway.url, asked)

    def close(self) -> None:
        """End the gateway."""
        assert self.gateway.stop() == 0, self.gateway.log.read_text()[-3000:]
        for cutter in self.cutters:
            cutter.close()


@pytest.fixture(scope="module")
def exact(vllm: processes.Running) -> Iterator[Cut]:
    """By tokens; two addresses of one engine, which is enough where it is the connection that dies."""
    cut = Cut(vllm, vllm, "exact")
    yield cut
    cut.close()


@pytest.mark.parametrize("asked", [CHAT, COMPLETION], ids=["chat", "completions"])
def test_exact_at_every_token(exact: Cut, vllm: processes.Running, asked: dict[str, Any]) -> None:
    """Text, tokens, the finish and usage are those of an undisturbed run; with a client that asked for tokens, too."""
    with_ids = {**asked, "return_token_ids": True}
    whole = told(stream(vllm.url, with_ids))
    assert len(whole[1]) == TOKENS
    before, short = exact.shears.cuts, exact.shears.short
    for after in range(1, TOKENS + 2):
        text, ids, finishes, usage = told(exact.stream(asked, after))
        assert (text, ids, finishes, usage) == (whole[0], [], *whole[2:]), after
    for after in range(1, TOKENS, 7):
        assert told(exact.stream(with_ids, after)) == whole, after
    cuts = exact.shears.cuts - before
    assert cuts + exact.shears.short - short == TOKENS + 1 + len(range(1, TOKENS, 7))
    assert cuts > TOKENS // 4  # an engine that is ahead puts several tokens into an event: not every one has so many
    assert heals(exact.gateway) == {"healed": exact.shears.cuts}


def test_the_sdk_sees_nothing(exact: Cut, vllm: processes.Running) -> None:
    """OpenAI's own client, chat and completions."""
    asked = {**ASKED, "max_tokens": 10 * TOKENS}
    for after in (1, 2, 5, 20):
        seen = []
        exact.shears.after = after
        for url in (vllm.url, exact.gateway.url):
            client = client_of(url)
            chunks = list(client.chat.completions.create(**asked, **CHAT))
            text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
            finish = [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1]
            seen.append((text, chunks[-1].usage, finish))
        assert (seen[0], exact.shears.after) == (seen[1], 0)


@pytest.fixture(scope="module")
def letters() -> Iterator[processes.Running]:
    """vLLM, with a model whose text says which tokens it is of."""
    engine = processes.vllm(model=home.LETTERS)
    yield engine
    engine.stop()


@pytest.mark.parametrize("asked", [CHAT, COMPLETION], ids=["chat", "completions"])
def test_text_at_every_token(letters: processes.Running, asked: dict[str, Any]) -> None:
    """Where the text determines the tokens, it is as exact."""
    cut = Cut(letters, letters, "text")
    try:
        whole = told(stream(letters.url, asked))
        for after in range(1, TOKENS + 1):
            assert told(cut.stream(asked, after)) == whole, after
        assert cut.shears.cuts + cut.shears.short == TOKENS
        assert cut.shears.cuts > TOKENS // 4
        assert heals(cut.gateway) == {"healed": cut.shears.cuts}
    finally:
        cut.close()


def test_llama_server_killed() -> None:
    """By SIGKILL, at several tokens: completions go on at the other, by text."""
    engines = [processes.llama_server(model=home.LETTERS_GGUF) for _ in range(2)]
    gateway = processes.gateway(*(engine.url for engine in engines))
    asked = {**COMPLETION, "max_tokens": 1500, "cache_prompt": False}  # it is not over before it is killed
    try:
        same = SAME[:-1]  # it says anew with each event when it was created
        whole = told(stream(engines[0].url, asked), same)
        for after in (2, 9, 100):
            killed = threading.Event()

            def kill(serving: str, killed: threading.Event = killed) -> None:
                os.killpg(next(e for e in engines if e.url.endswith(serving)).process.pid, signal.SIGKILL)
                killed.set()

            seen = told(stream(gateway.url, asked, {after: kill}), same)
            assert killed.is_set()
            assert (seen[0], seen[2], seen[3]) == (whole[0], whole[2], whole[3]), after
            for number, engine in enumerate(engines):
                if engine.process.poll() is not None:
                    engines[number] = processes.llama_server(port=engine.port, model=home.LETTERS_GGUF)
            until(lambda: {said["state"] for said in processes.facts(gateway).values()} == {"up"})
        assert heals(gateway) == {"healed": 3}
    finally:
        assert gateway.stop() == 0
        for engine in engines:
            engine.stop()


def stop_still(gateway: processes.Running, name: str, engine: processes.Running) -> int:
    """Stop an engine's processes, and wait until all that it said has been passed on.

    @return: how many streams of it are under way, and are so until it is killed or goes on.
    """
    os.killpg(engine.process.pid, signal.SIGSTOP)
    seen: list[int] = []
    while len(seen) < 5 or len(set(seen[-5:])) > 1:
        time.sleep(0.2)
        seen.append(processes.facts(gateway)[name]["in_flight"])
    return seen[-1]


class Mortal:
    """Two vLLMs, one of which is killed while it streams; and gateways before them."""

    def __init__(self, *more: str, model: Path = home.MODEL) -> None:
        self._more, self._model = more, model
        with ThreadPoolExecutor(2) as pool:
            self.engines = list(pool.map(lambda _: processes.vllm(*more, model=model), range(2)))
        self._gateways: list[processes.Running] = []

    def gateway(self, mode: str) -> processes.Running:
        """It knows them as C{v0} and C{v1}."""
        tables = [f'[[replica]]\nname = "v{number}"\nurl = "{one.url}"\n' for number, one in enumerate(self.engines)]
        self._gateways.append(processes.gateway(config=f'[heal]\nmode = "{mode}"\n{PATIENT}' + "".join(tables)))
        return self._gateways[-1]

    def restart(self, number: int) -> None:
        """It comes back where it was, and every gateway knows."""
        self.engines[number].stop()
        self.engines[number] = processes.vllm(*self._more, port=self.engines[number].port, model=self._model)
        for gateway in self._gateways:
            until(lambda: {said["state"] for said in processes.facts(gateway).values()} == {"up"})  # noqa: B023

    def close(self) -> None:
        """End them all."""
        codes = [gateway.stop() for gateway in self._gateways]
        for engine in self.engines:
            engine.stop()
        assert not any(codes)


def logged(gateway: processes.Running, id: str) -> dict[str, Any]:
    """What the access log says of an exchange, once it is over."""
    mark = b'"id":"%b"' % id.encode()
    found: list[bytes] = []
    until(lambda: found.extend(line for line in gateway.log.read_bytes().splitlines() if mark in line) or found)
    return dict(json.loads(found[0]))


class Kill(NamedTuple):
    """Of the engine that serves, by SIGKILL.

    @ivar mode: in which way the stream is to go on.
    @ivar asked: what it is of.
    @ivar after: so many events.
    @ivar whole: all of vLLM dies; else the process that computes, and its server says so.
    """

    mode: str
    asked: dict[str, Any]
    after: int
    whole: bool


KILLS = (
    Kill("exact", CHAT, 1, whole=False),
    Kill("exact", COMPLETION, 30, whole=True),
    Kill("exact", {**CHAT, "return_token_ids": True}, 1000, whole=True),
    Kill("exact", {**COMPLETION, "return_token_ids": True}, 300, whole=False),
    Kill("text", CHAT, 300, whole=True),
    Kill("text", COMPLETION, 30, whole=False),
)

#: So that a stream is not over before its engine is killed.
LONG = {"max_tokens": 3900}


def killed(mortal: Mortal, gateway: processes.Running, kill: Kill, id: str) -> tuple[list[Any], float]:
    """A stream whose engine is killed, and is there again when it is over.

    @return: its events, and when that was.
    """
    dead: list[tuple[int, float]] = []

    def strike(serving: str) -> None:
        engine = mortal.engines[int(serving[1:])]
        (processes.kill(engine.process) if kill.whole else processes.kill_engine_core(engine))
        dead.append((int(serving[1:]), time.time()))

    events = stream(gateway.url, {**kill.asked, **LONG}, {kill.after: strike}, id)
    mortal.restart(dead[0][0])
    return events, dead[0][1]


def test_vllm_killed() -> None:
    """Early and late, and a successor then goes on with what the other had begun: all is as in an undisturbed run.

    It is asked for elsewhere at once.  How soon it is known does not depend on us: the kernel closes the connections
    of a process once it has taken that apart, and vLLM looks after its process; that is judged by the middle one.
    """
    mortal = Mortal("--max-model-len", "4096", model=home.LETTERS)
    try:
        gateways = {mode: mortal.gateway(mode) for mode in ("exact", "text")}
        silent = []
        for number, kill in enumerate(KILLS):
            gateway = gateways[kill.mode]
            whole = told(stream(mortal.engines[0].url, {**kill.asked, **LONG}))
            for again in range(
                5
            ):  # an engine that is far ahead of its server may have said all by then: kill it sooner
                id = f"killed-{number}-{again}"
                events, at = killed(mortal, gateway, kill._replace(after=max(1, kill.after >> 2 * again)), id)
                assert told(events) == whole, kill
                line = logged(gateway, id)
                if line["tries"]:
                    break
            assert line["heal"] == "healed", line
            broke, healed = line["tries"]
            known = datetime.fromisoformat(line["time"]).timestamp() - line["duration_s"] + broke["ended_s"]
            asked_s, engine_s = healed["sent_s"] - broke["ended_s"], healed["first_s"] - healed["sent_s"]
            silent.append(known - at)
            print(f"{kill.mode}, {kill.after} events, {'all of it' if kill.whole else 'its engine'}: known after "
                  f"{silent[-1]:.3f} s, asked for elsewhere in {asked_s:.4f} s, and had in {engine_s:.3f} s")  # fmt: skip
            assert asked_s < 1
        assert median(silent) < 1
        for mode, gateway in gateways.items():
            assert heals(gateway) == {"healed": sum(kill.mode == mode for kill in KILLS)}
    finally:
        mortal.close()


def test_one_of_two_killed_under_200_streams() -> None:
    """All are whole, and those that were under way there are healed."""
    mortal = Mortal("--max-num-seqs", "128")
    asked = {**CHAT, "max_tokens": 800}  # so that the first is not over before the last has begun
    try:
        gateway = mortal.gateway("auto")
        prompts = [{**asked, "messages": [{"role": "user", "content": f"of {topic}"}]} for topic in range(8)]
        wholes = [told(stream(mortal.engines[0].url, prompt))[0] for prompt in prompts]
        under_way = threading.Semaphore(0)
        with ThreadPoolExecutor(200) as pool:
            streams = [
                pool.submit(stream, gateway.url, prompts[number % 8], {3: lambda _: under_way.release()})
                for number in range(200)
            ]
            for _ in range(200):
                assert under_way.acquire(timeout=120)
            cut = stop_still(gateway, "v0", mortal.engines[0])
            killed_at = time.monotonic()
            processes.kill(mortal.engines[0].process)
            seen = [told(each.result()) for each in streams]
        print(f"200 streams: all whole {time.monotonic() - killed_at:.1f} s after one of two died; {heals(gateway)}")
        assert [each[0] for each in seen] == [wholes[number % 8] for number in range(200)]
        assert cut > 0
        assert heals(gateway) == {"healed": cut}
    finally:
        mortal.close()
