"""The operator's command as it is installed, in a process of its own, against a gateway that serves."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import orjson
from pytest_twisted import ensureDeferred
from twisted.internet import reactor
from twisted.internet.utils import getProcessOutputAndValue

from aibrix_twisted.demo.speed import INSTANT, Speed
from aibrix_twisted.service.config.load import Source
from aibrix_twisted.service.gateway import Gateway
from tests.e2e.client import ask, chat, connect
from tests.e2e.harness import World, free_port

COMMAND = str(Path(sys.executable).with_name("aibrixctl"))


class Said(NamedTuple):
    """What came of a command."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """What C{--json} printed: one document."""
        return orjson.loads(self.out)


class Operated(World):
    """A gateway that was started with a file, and its operator.

    @ivar urls: of the engines; the first is in the file.
    """

    def __init__(self, *, engines: int = 2, speed: Speed = INSTANT) -> None:
        super().__init__(engines=engines, speed=speed)
        self.path = Path(tempfile.mkdtemp()) / "gateway.toml"
        self.admin = free_port()
        self.urls = [f"http://127.0.0.1:{port.getHost().port}" for port in self.ports]
        self.write(f'[[replica]]\nname = "e0"\nurl = "{self.urls[0]}"\n')
        source = Source(str(self.path), {})
        self.gateway = Gateway(reactor, source.load(), source)

    def write(self, text: str) -> None:
        """The file, from now on."""
        self.path.write_text(
            f'listen = ["tcp:{self.port}:interface=127.0.0.1"]\n'
            f'admin = "tcp:{self.admin}:interface=127.0.0.1"\naccess_log = {{path = ""}}\n{text}'
        )

    async def ctl(self, *arguments: str, admin: str = "") -> Said:
        """Run the command."""
        environment = {
            **os.environ,
            "AIBRIX_ADMIN": admin or f"http://127.0.0.1:{self.admin}",
            "http_proxy": "http://127.0.0.1:1",
        }
        out, err, code = await getProcessOutputAndValue(COMMAND, arguments, env=environment)
        return Said(code, out.decode(), err.decode())

    async def replica(self, name: str) -> dict[str, Any]:
        """One of them, as a script sees it."""
        listed = (await self.ctl("--json", "replicas")).document["replicas"]
        return next((replica for replica in listed if replica["name"] == name), {})


@ensureDeferred
async def test_looking() -> None:
    """Tables for people, and the API's own documents for scripts."""
    async with Operated() as world:
        said = await world.ctl("replicas")
        assert (said.code, said.err) == (0, "")
        head, row = said.out.splitlines()
        assert head.split()[:4] == ["NAME", "URL", "ENGINE", "STATE"]
        assert row.split()[:2] == ["e0", world.urls[0]]
        assert "\x1b" not in said.out
        document = (await world.ctl("replicas", "--json")).document
        asked_later = (await ask(world.admin, "/api/replicas", method="GET")).json
        for replica in (*document["replicas"], *asked_later["replicas"]):
            assert replica.pop("since_s") >= 0.0
        assert document == asked_later
        said = await world.ctl("models")
        assert (said.code, said.out.splitlines()[1].split()[:2]) == (0, ["demo-model", "1/1"])


@ensureDeferred
async def test_where_there_is_none() -> None:
    """Another port of the gateway, and a port that nobody listens on: exit code 3, and the place."""
    async with Operated() as world:
        for port, expected in ((world.port, "is no admin listener"), (free_port(), "Connection refused")):
            said = await world.ctl("replicas", admin=f"http://127.0.0.1:{port}")
            assert (said.code, said.out) == (3, "")
            assert f"http://127.0.0.1:{port}" in said.err
            assert expected in said.err
            assert "Traceback" not in said.err


@ensureDeferred
async def test_a_replica_comes_and_goes() -> None:
    """Added it serves; removed it does not; what stands in the file is not removed here."""
    async with Operated() as world:
        said = await world.ctl("add", world.urls[1], "--name", "e1", "--label", "rack=r1")
        assert said.code == 0, said.err
        await world.until(lambda: world.gateway.fleet.settled)
        added = await world.replica("e1")
        assert (added["state"], added["source"], added["labels"]) == ("up", "admin", {"rack": "r1"})
        served = {(await ask(world.port, "/v1/chat/completions", chat())).headers["x-aibrix-replica"] for _ in range(8)}
        assert served == {"e0", "e1"}
        again = await world.ctl("add", world.urls[1], "--name", "e1")
        assert (again.code, again.out) == (1, "")
        wrong = await world.ctl("--json", "add", "nowhere")
        assert (wrong.code, "error" in wrong.document) == (1, True)
        refused = await world.ctl("remove", "e0")
        assert refused.code == 1
        assert "configuration file" in refused.err
        assert (await world.ctl("remove", "e1")).code == 0
        assert await world.replica("e1") == {}
        assert (await world.ctl("remove", "e1")).code == 1


@ensureDeferred
async def test_a_lease() -> None:
    """Under a time to live it is registered, and the table says for how long."""
    async with Operated() as world:
        for _ in range(2):
            assert (await world.ctl("add", world.urls[1], "--name", "a/b", "--ttl", "60")).code == 0
        added = await world.replica("a/b")
        assert added["source"] == "registered"
        assert 30 < added["expires_in_s"] <= 60
        assert "s left)" in (await world.ctl("replicas")).out


@ensureDeferred
async def test_a_drain_that_is_waited_for() -> None:
    """It comes back when the stream is over, which is whole; the replica is used again when it is undrained."""
    async with Operated(speed=Speed(prefill=0.0, decode=50.0)) as world:
        client = await connect(world.port)
        streaming = client.request("/v1/chat/completions", chat(stream=True, tokens=60))
        await client.head()
        late = await world.ctl("drain", "e0", "--wait", "0")
        assert (late.code, late.out) == (1, "")
        assert "still has 1 in flight" in late.err
        said = await world.ctl("drain", "e0", "--wait", "30")
        assert (said.code, said.out) == (0, "e0 is drained\n")
        assert world.in_flight == 0
        answer = await streaming
        assert answer.whole
        assert answer.events[-1] == b"[DONE]"
        assert (await world.replica("e0"))["state"] == "draining"
        assert (await world.ctl("undrain", "e0")).code == 0
        assert (await ask(world.port, "/v1/chat/completions", chat())).status == 200


@ensureDeferred
async def test_an_ejection_by_hand() -> None:
    """It shows, and it is taken back."""
    async with Operated() as world:
        assert (await world.ctl("eject", "e0")).code == 0
        assert (await world.replica("e0"))["state"] == "ejected"
        assert (await world.ctl("restore", "e0")).code == 0
        assert (await world.replica("e0"))["state"] == "up"
        assert (await world.ctl("eject", "nobody")).code == 1


@ensureDeferred
async def test_a_reload_says_what_came_of_it() -> None:
    """A file that is wrong is refused with the lines that check prints; a good one is taken."""
    async with Operated() as world:
        world.write("nonsense = 1\n")
        checked = await world.ctl("check", str(world.path))
        assert (checked.code, checked.out) == (2, "")
        refused = await world.ctl("reload")
        assert (refused.code, refused.out) == (1, "")
        assert checked.err in refused.err
        both = "".join(f'[[replica]]\nname = "e{number}"\nurl = "{url}"\n' for number, url in enumerate(world.urls))
        world.write(both)
        assert (await world.ctl("check", str(world.path))).code == 0
        said = await world.ctl("reload")
        assert (said.code, said.out) == (0, "reloaded; replicas: 2\n")
        await world.until(lambda: world.gateway.fleet.settled)
        assert len(world.gateway.fleet.replicas) == 2


@ensureDeferred
async def test_requests_and_where_their_time_went() -> None:
    """One under way, then over, by its id; one that failed; and a look at all of it."""
    async with Operated(speed=Speed(prefill=0.0, decode=50.0)) as world:
        client = await connect(world.port)
        streaming = client.request(
            "/v1/chat/completions", chat(stream=True, tokens=100), headers={"x-request-id": "mine/1"}
        )
        await client.head()
        said = await world.ctl("requests")
        assert (said.code, said.err) == (0, "")
        (row,) = said.out.splitlines()[1:]
        assert row.split()[:4] == ["mine/1", "streaming", "demo-model", "e0"]
        assert (await streaming).whole
        assert (await ask(world.port, "/v1/chat/completions", {**chat(), "model": "nobody"})).status == 404
        said = await world.ctl("requests", "--errors")
        (row,) = said.out.splitlines()[1:]
        assert "client_unknown_model" in row
        past = (await world.ctl("requests", "--past", "--slow", "1", "--json")).document
        assert [one["id"] for one in past["requests"]] == ["mine/1"]
        said = await world.ctl("request", "mine/1")
        assert (said.code, said.err) == (0, "")
        assert said.out.startswith("mine/1: complete, status 200, after ")
        assert "e0 was done with: complete" in said.out
        assert "stream " in said.out
        none = await world.ctl("request", "nobody")
        assert (none.code, none.out) == (1, "")
        look = await world.ctl("top")
        assert (look.code, look.err) == (0, "")
        assert "client_unknown_model" in look.out
        assert set((await world.ctl("top", "--json")).document) == {"stats", "fleet", "errors"}
