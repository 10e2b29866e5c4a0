"""Certificates that are replaced while clients come and streams are open."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from pytest_twisted import ensureDeferred
from twisted.internet.defer import Deferred, gatherResults
from twisted.logger import globalLogPublisher

from aibrix_twisted.demo.speed import Speed
from tests.e2e.client import Answer, ask, chat, connect
from tests.e2e.fleet import Fleet
from tests.e2e.secure import authority, believing

CHAT = "/v1/chat/completions"


class Replaced(Fleet):
    """A gateway whose certificate is in files of its own; C{show} puts another one there."""

    def __init__(self, **more: Any) -> None:
        self.cert = Path(authority().folder) / f"shown-{id(self)}.pem"
        self.key = Path(authority().folder) / f"shown-{id(self)}.key"
        self.show(authority().issue("localhost"))
        super().__init__(0, **more)

    def show(self, new: Any, *, key: bool = True) -> None:
        """Another certificate."""
        shutil.copy(new.cert, self.cert)
        if key:
            shutil.copy(new.key, self.key)

    def tell(self, *known: int, more: str = "") -> None:
        """The file, from now on."""
        self.path.write_text(
            f'listen = ["ssl:{self.port}:interface=127.0.0.1"]\nadmin = "none"\naccess_log = {{path = ""}}\n{more}'
            f'[[tls.certificate]]\ncert = "{self.cert}"\nkey = "{self.key}"\n{"".join(map(self.table, known))}'
        )


@ensureDeferred
async def test_a_certificate_is_replaced_under_load() -> None:
    """While clients come, each with a handshake of its own, and streams are open: none fails, and none is cut."""
    async with Replaced(engines=1, speed=Speed(prefill=0.0, decode=200.0)) as world:
        streaming = [await connect(world.port, believing()) for _ in range(10)]
        streams = [client.request(CHAT, chat(stream=True, tokens=400)) for client in streaming]
        for client in streaming:
            await client.head()
        answers: list[Answer] = []
        going = True

        async def comes_and_goes() -> None:
            while going:
                answers.append(await ask(world.port, "/healthz", method="GET", tls=believing()))

        clients = [Deferred.fromCoroutine(comes_and_goes()) for _ in range(8)]
        for _ in range(25):
            count = len(answers)
            world.show(authority().issue("localhost"))
            world.gateway.reload()
            await world.until(lambda count=count: len(answers) > count + 8)
        going = False
        await gatherResults(clients)
        counts = world.gateway.exchanges.handshakes.counts
        assert [answer.status for answer in answers] == [200] * len(answers)
        assert len(answers) > 200
        assert (counts["failed"], counts["late"], counts["gone"]) == (0, 0, 0)
        assert world.gateway.metrics.reloads["taken",] == 25
        for answer in await gatherResults(streams):
            assert answer.whole and answer.events[-1] == b"[DONE]"
        for client in streaming:
            client.transport.abortConnection()
            await client.closed


@ensureDeferred
async def test_a_bad_certificate_is_not_taken() -> None:
    """Another's key, no PEM, one that has expired: the old one is shown, and the log names line, key and file."""
    said: list[str] = []

    def observe(event: dict[str, Any]) -> None:
        said.append(str(event.get("problem", "")))

    globalLogPublisher.addObserver(observe)
    try:
        async with Replaced(engines=1) as world:
            for number, (bad, key, expected) in enumerate((
                (authority().issue("localhost"), False, f"tls.certificate[0].key: found '{world.key}', which is not the key"),
                (authority().issue("localhost", days=(-9, -2)), True, f"{world.cert}: the certificate has expired on"),
                (None, True, f"tls.certificate[0].cert: found '{world.cert}', expected certificates in PEM"),
            ), 1):  # fmt: skip
                said.clear()
                if bad is None:
                    world.cert.write_text("nonsense")
                else:
                    world.show(bad, key=key)
                world.gateway.reload()
                assert world.gateway.metrics.reloads["refused",] == number
                assert any(expected in problem for problem in said), said
                assert (await ask(world.port, "/healthz", method="GET", tls=believing())).status == 200
            good = authority().issue("localhost")
            world.show(good)
            world.gateway.reload()
            assert world.gateway.metrics.reloads["taken",] == 1
            assert (await ask(world.port, "/healthz", method="GET", tls=believing())).status == 200
    finally:
        globalLogPublisher.removeObserver(observe)
