"""Clients that never stop asking: the openai SDK's, many at once."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import openai

from tests.engines import processes
from tests.engines.test_sdk import MESSAGES

#: A test that waits for longer has failed.
PATIENCE_S = 200


@dataclass
class Seen:
    """What became of one request.

    @ivar asked: when, and C{seconds}: how long it took to its end.
    @ivar begun: something of a stream came.
    @ivar error: the SDK's; empty where the answer was whole.
    """

    asked: float
    seconds: float = 0.0
    begun: bool = False
    replica: str = ""
    error: str = ""


class Load:
    """In a thread of its own, from C{with} to its end.

    @ivar seen: all that is over, in the order of their ends.
    """

    def __init__(self, gateway: processes.Running, *, clients: int, tokens: int) -> None:
        self._url = f"{gateway.url}/v1"
        self._clients = clients
        self._tokens = tokens
        self._going = True
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()))
        self.seen: list[Seen] = []

    def __enter__(self) -> Load:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._going = False
        self._thread.join()

    @property
    def failed(self) -> list[Seen]:
        """Those that failed, though nothing of a stream had come."""
        return [seen for seen in self.seen if seen.error and not seen.begun]

    def more(self, count: int) -> list[Seen]:
        """Wait for so many to requests that are made from now on.

        @return: these, in the order of their ends.
        """
        now = time.monotonic()

        def new() -> list[Seen]:
            return [seen for seen in tuple(self.seen) if seen.asked >= now]

        until(lambda: len(new()) >= count)
        return new()[:count]

    async def _run(self) -> None:
        async with openai.AsyncOpenAI(base_url=self._url, api_key="none", max_retries=0, timeout=PATIENCE_S) as client:
            await asyncio.gather(*(self._ask(client, stream=bool(number % 2)) for number in range(self._clients)))

    async def _ask(self, client: openai.AsyncOpenAI, *, stream: bool) -> None:
        while self._going:
            seen = Seen(time.monotonic())
            try:
                if stream:
                    await self._stream(client, seen)
                else:
                    answer = await client.chat.completions.with_raw_response.create(
                        model="tiny", messages=MESSAGES, max_tokens=self._tokens
                    )
                    seen.replica = answer.headers["x-aibrix-replica"]
                    assert answer.parse().choices[0].finish_reason
            except openai.APIError as error:
                seen.error = f"{type(error).__name__} {error}"
            seen.seconds = time.monotonic() - seen.asked
            self.seen.append(seen)

    async def _stream(self, client: openai.AsyncOpenAI, seen: Seen) -> None:
        finished = False
        async with client.chat.completions.with_streaming_response.create(
            model="tiny", messages=MESSAGES, max_tokens=self._tokens, stream=True
        ) as answer:
            seen.replica = answer.headers["x-aibrix-replica"]
            async for chunk in await answer.parse():
                seen.begun = True
                finished = finished or any(choice.finish_reason for choice in chunk.choices)
        if not finished:
            seen.error = seen.error or "it has no finish"


def until(condition: Callable[[], object]) -> None:
    """Wait for it."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, "it did not come to be"
        time.sleep(0.02)
