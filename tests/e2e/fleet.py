"""A gateway that is started with a file, engines that stop and start, and clients that never stop asking."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults

from aibrix_twisted.demo.speed import Speed
from aibrix_twisted.domain.replica import Replica
from aibrix_twisted.service.config.load import Source
from aibrix_twisted.service.gateway import Gateway
from tests.e2e.client import Answer, ask, chat, connect
from tests.e2e.harness import PATIENCE_S, World, free_port
from tests.e2e.secure import SCHEME, SECURE, authority, issued

#: An answer of four tokens takes thirty milliseconds, whatever else this machine does.
STEADY = Speed(prefill=0.0, decode=100.0, batch=1 << 30, prefix_cache=False)

#: Probes that a test need not wait long for.
QUICK = "[health]\nprobe_interval = 0.3\nprobe_timeout = 0.2\nslow_start = 0.5\n"


class Fleet(World):
    """The gateway reads C{self.path}; what it is to say is written there with C{tell}.

    @ivar numbers: the ports of the engines; C{urls}: where they are.
    """

    def __init__(self, *known: int, engines: int = 2, speed: Speed = STEADY, more: str = QUICK) -> None:
        """
        @param known: engines that the file names, as C{e0}, C{e1}, ...
        @param more: what else it says.
        """
        super().__init__(engines=engines, speed=speed)
        self.folder = Path(tempfile.mkdtemp())
        self.path = self.folder / "gateway.toml"
        self.admin = free_port()
        self.numbers = [port.getHost().port for port in self.ports]
        self.urls = [f"{SCHEME}://127.0.0.1:{number}" for number in self.numbers]
        self.tell(*known, more=more)
        source = Source(str(self.path), {})
        self.gateway = Gateway(reactor, source.load(), source)
        self.over.clear()
        self.gateway.exchanges.book.past = self.over

    def tell(self, *known: int, more: str = QUICK) -> None:
        """The file, from now on."""
        kind, own = "tcp", ""
        if SECURE:
            kind, own = "ssl", f'[[tls.certificate]]\ncert = "{issued().cert}"\nkey = "{issued().key}"\n'
        self.path.write_text(
            f'listen = ["{kind}:{self.port}:interface=127.0.0.1"]\n'
            f'admin = "{kind}:{self.admin}:interface=127.0.0.1"\naccess_log = {{path = ""}}\n'
            f"{more}{own}{''.join(map(self.table, known))}"
        )

    def table(self, number: int, more: str = "") -> str:
        """An engine, as files name it."""
        tls = f'tls = {{ca = "{authority().path}"}}\n' if SECURE else ""
        return f'[[replica]]\nname = "e{number}"\nurl = "{self.urls[number]}"\n{tls}{more}'

    async def api(self, method: str, path: str, document: Any = None) -> Any:
        """Ask the admin API, which does what it is asked."""
        answer = await ask(self.admin, f"/api/{path}", document, method=method)
        assert answer.status < 300, answer
        return answer.json

    async def facts(self, name: str) -> dict[str, Any]:
        """What the admin API says of a replica."""
        replicas = (await self.api("GET", "replicas"))["replicas"]
        found: dict[str, Any] = next(replica for replica in replicas if replica["name"] == name)
        return found

    def replica(self, name: str) -> Replica:
        """One of the fleet."""
        return next(replica for replica in self.gateway.fleet.replicas if replica.name == name)

    @property
    def names(self) -> set[str]:
        """Those of the fleet that are up."""
        return {replica.name for replica in self.gateway.fleet.replicas if replica.up}

    @property
    def waiting(self) -> int:
        """Requests in the waiting room."""
        return self.gateway.exchanges.waiting.room.count

    async def stop(self, number: int) -> None:
        """An engine dies, with all that it had."""
        await self.engines[number].stop()

    def start(self, number: int) -> None:
        """And is there again, where it was."""
        self.engines[number].listen(self.numbers[number])


class Load:
    """Clients that ask one thing after the other, each on a connection of its own; every second one for streams.

    @ivar answers: all that came.
    """

    def __init__(self, world: Fleet, *, clients: int = 8, tokens: int = 4) -> None:
        self._world = world
        self._tokens = tokens
        self._going = False
        self._clients: list[Deferred[None]] = []
        self.count = clients
        self.answers: list[Answer] = []
        self._asked = 0
        self._numbers: list[int] = []

    async def __aenter__(self) -> Load:
        self._going = True
        self._clients = [Deferred.fromCoroutine(self._client(stream=bool(n % 2))) for n in range(self.count)]
        await self.more()
        return self

    async def __aexit__(self, kind: object, *exc: object) -> None:
        self._going = False
        if kind is None:
            await gatherResults(self._clients, consumeErrors=True)
            await self._world.until(self._world.settled)

    async def more(self, count: int = 40, seconds: float = PATIENCE_S) -> list[Answer]:
        """Wait for so many answers to requests that are made from now on.

        @return: these.
        """
        asked = self._asked
        await self._world.until(lambda: len(self._since(asked)) >= count or self._broken(), seconds)
        return self._since(asked)

    async def until_served_by(self, name: str) -> None:
        """Wait until a replica has had its part."""
        asked = self._asked
        await self._world.until(lambda: name in replicas_of(self._since(asked)) or self._broken())

    @property
    def failed(self) -> list[Answer]:
        """Answers that are none, though nothing of a stream had come."""
        return [answer for answer in self.answers if answer.status != 200 or not (answer.whole or _begun(answer))]

    @property
    def cut(self) -> list[Answer]:
        """Streams that broke off."""
        return [answer for answer in self.answers if not answer.whole and _begun(answer)]

    def _since(self, asked: int) -> list[Answer]:
        """Answers to requests that came after so many."""
        return [answer for answer, number in zip(self.answers, self._numbers, strict=True) if number > asked]

    def _broken(self) -> bool:
        """A client of ours is at an end: it says why when it is waited for."""
        return any(client.called for client in self._clients)

    async def _client(self, *, stream: bool) -> None:
        client = await connect(self._world.port)
        while self._going:
            if client.lost:
                client = await connect(self._world.port)
            self._asked = number = self._asked + 1
            answer = await client.request("/v1/chat/completions", chat(stream=stream, tokens=self._tokens))
            self.answers.append(answer)
            self._numbers.append(number)
            if not answer.whole or answer.headers.get("connection") == "close":
                await client.closed
        if not client.lost:
            client.transport.loseConnection()
            await client.closed


def _begun(answer: Answer) -> bool:
    return answer.headers.get("content-type", "").startswith("text/event-stream")


def replicas_of(answers: list[Answer]) -> set[str]:
    """Who gave them."""
    return {answer.headers.get("x-aibrix-replica", "") for answer in answers}
