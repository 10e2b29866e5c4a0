"""TLS towards replicas, over real sockets: who is believed, who is not, and what everybody is told then."""

from __future__ import annotations

from typing import Any

import pytest
from OpenSSL import SSL
from pytest_twisted import ensureDeferred
from twisted.internet import reactor
from twisted.internet.protocol import Factory, Protocol
from twisted.protocols.tls import TLSMemoryBIOFactory

from aibrix_twisted.demo.profiles import PROFILES
from tests.e2e.client import ask, chat
from tests.e2e.fleet import Fleet
from tests.e2e.secure import With, authority, issued, listens_with_tls
from tests.service.tls.peer import showing

CHAT = "/v1/chat/completions"


class Behind(Fleet):
    """An engine with TLS; the file's table says how it is spoken to."""

    def __init__(
        self, lines: str, shown: Any = None, context: SSL.Context | None = None, host: str = "127.0.0.1"
    ) -> None:
        self.lines, self.host = lines, host
        self.shown, self.context = shown, context
        super().__init__(engines=1)
        self.engine = listens_with_tls(self.engines[0], With(context or showing(shown or issued())))
        self.engines[0].profile = PROFILES["vllm"]
        self.numbers = [self.engines[0].listen().getHost().port]

    async def tried(self) -> None:
        """The file has it now."""
        self.path.write_text(
            f'listen = ["tcp:{self.port}:interface=127.0.0.1"]\nadmin = "tcp:{self.admin}:interface=127.0.0.1"\n'
            'access_log = {path = ""}\n[health]\nprobe_interval = 0.2\n[queue]\nwait_down = 0.0\n'
            f'[[replica]]\nname = "e0"\nurl = "https://{self.host}:{self.numbers[0]}"\nmodels = ["demo-model"]\n{self.lines}'
        )
        self.gateway.reload()


@ensureDeferred
async def test_a_replica_is_verified() -> None:
    """By address, with the authority that is named; requests, probes and metrics all go by TLS, and sessions are resumed."""
    async with Behind(f'tls = {{ca = "{authority().path}"}}\n') as world:
        await world.tried()
        await world.until(lambda: world.names == {"e0"})
        for stream in (False, True):
            answer = await ask(world.port, CHAT, chat(stream=stream))
            assert (answer.status, answer.whole) == (200, True)
        facts = await world.facts("e0")
        assert (facts["tls"], facts["state"], facts["last_error"]) == ("verified", "up", None)
        await world.until(lambda: world.replica("e0").load.engine is not None)
        for connection in tuple(world.gateway.pool._all):
            connection.abandon()
        await ask(world.port, CHAT, chat())
        (fresh,) = world.gateway.pool._all
        assert SSL._lib.SSL_session_reused(fresh.transport.connection._ssl), "a session that was there is resumed"


@pytest.mark.parametrize(
    ("lines", "names", "days", "expected"),
    [
        ("", ("127.0.0.1",), (-1, 9), "its issuer is not one that is trusted"),
        ('tls = {ca = "CA"}\n', ("gpu1.example",), (-1, 9), "it is for gpu1.example, and not for 127.0.0.1"),
        ('tls = {ca = "CA", server_name = "gpu0"}\n', ("gpu1.example",), (-1, 9), "and not for gpu0"),
        ('tls = {ca = "CA"}\n', ("127.0.0.1",), (-9, -1), "it has expired"),
    ],
)
@ensureDeferred
async def test_one_that_is_not_believed(lines: str, names: tuple[str, ...], days: Any, expected: str) -> None:
    """Nothing is sent to it; it is down, and everybody is told why: the API, the client, the log."""
    shown = authority().issue(*names, subject="engine", days=days)
    async with Behind(lines.replace("CA", authority().path), shown) as world:
        asked = world.engines[0].stats.requests
        await world.tried()
        await world.until(lambda: world.replica("e0").last_error)
        facts = await world.facts("e0")
        assert "TLS: certificate verify failed: " in facts["last_error"]
        assert expected in facts["last_error"]
        await world.until(lambda: not world.replica("e0").up)
        assert expected in (await world.facts("e0"))["reason"]
        assert world.engines[0].stats.requests == asked


@ensureDeferred
async def test_a_failure_of_tls_is_one_of_the_connect() -> None:
    """Another replica is tried, and it is no attempt; where there is no other, the error says what it was."""
    shown = authority().issue("elsewhere.example")
    async with Behind(f'tls = {{ca = "{authority().path}"}}\n', shown) as world:
        world.path.write_text(
            f'listen = ["tcp:{world.port}:interface=127.0.0.1"]\nadmin = "none"\naccess_log = {{path = ""}}\n'
            "[health]\nprobe_interval = 0.0\n[breaker]\nenabled = false\n"
            f'[[replica]]\nname = "e0"\nurl = "https://127.0.0.1:{world.numbers[0]}"\nmodels = ["demo-model"]\n{world.lines}'
        )
        world.gateway.reload()
        answer = await ask(world.port, CHAT, chat())
        assert (answer.status, answer.code) == (502, "upstream_tls_failed")
        assert "it is for elsewhere.example, and not for 127.0.0.1" in answer.json["error"]["message"]
        (exchange,) = world.over
        assert (exchange.error, exchange.attempts) == ("engine_tls", 0)
        assert "certificate verify failed" in exchange.tries[0].fault
        assert world.gateway.metrics.errors["engine_tls",] == 1


class Closes(Protocol):
    """An engine that answers with sound of no said length, and closes; with a good-bye, or without."""

    says_good_bye = True
    transport: Any

    def dataReceived(self, data: bytes) -> None:
        """A request: it is one read."""
        self.transport.write(
            b"HTTP/1.1 200 OK\r\ncontent-type: audio/mpeg\r\nconnection: close\r\n\r\n" + b"\xff\xfb" * 500
        )
        (self.transport if self.says_good_bye else self.transport.transport).loseConnection()


@ensureDeferred
async def test_a_close_is_believed_only_if_it_comes_through_tls() -> None:
    """Else anyone on the way may have cut the answer: where only the close says where it ends, it is truncated."""
    factory = Factory.forProtocol(Closes)
    server = TLSMemoryBIOFactory(With(showing(issued())), False, factory, reactor)
    port = reactor.listenTCP(0, server, interface="127.0.0.1")
    async with Fleet(engines=0) as world:
        world.path.write_text(
            f'listen = ["tcp:{world.port}:interface=127.0.0.1"]\nadmin = "none"\naccess_log = {{path = ""}}\n'
            "[health]\nprobe_interval = 0.0\n[retry]\nattempts = 1\n[breaker]\nenabled = false\n"
            f'[[replica]]\nname = "e0"\nurl = "https://127.0.0.1:{port.getHost().port}"\nmodels = ["m"]\n'
            f'tls = {{ca = "{authority().path}"}}\n'
        )
        world.gateway.reload()
        asked = {"model": "m", "input": "hello", "voice": "alloy"}
        try:
            for good_bye, status, outcome in (
                (True, 200, "complete"),
                (False, 502, "truncated"),
                (True, 200, "complete"),
            ):
                Closes.says_good_bye = good_bye
                answer = await ask(world.port, "/v1/audio/speech", asked)
                exchange = world.over[-1]
                assert (answer.status, exchange.outcome) == (status, outcome)
                assert good_bye or (answer.code, exchange.cause) == ("upstream_truncated", "upstream_closed")
                assert not good_bye or len(answer.body) == 1000
                assert good_bye or "close_notify" in exchange.tries[0].fault
        finally:
            await port.stopListening()
