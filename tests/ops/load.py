"""Clients that never stop, and notice everything: each in a thread of its own, over plain sockets."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections import Counter
from collections.abc import Callable

#: A client that waits for longer has failed.
PATIENCE_S = 60.0


class Load:
    """Clients who ask again as soon as they are answered, over connections that they keep.

    @ivar done: how many answers were whole; C{streams}: of these, streams.
    @ivar failed: what went wrong.
    @ivar replicas: how many answers each gave.
    """

    def __init__(
        self,
        port: int,
        *,
        clients: int = 8,
        streams: int = 0,
        tokens: int = 4,
        stream_tokens: int = 100,
        model: str = "demo-model",
        again: bool = True,
    ) -> None:
        """@param again: streams are asked for again when they are over."""
        self._port = port
        self._going = True
        self._model = model
        self._again = again
        self._lock = threading.Lock()
        self.done = self.streams = self.begun = 0
        self.failed: list[str] = []
        self.replicas: Counter[str] = Counter()
        self._threads = [threading.Thread(target=self._ask, args=(tokens, False)) for _ in range(clients)]
        self._threads += [threading.Thread(target=self._ask, args=(stream_tokens, True)) for _ in range(streams)]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._going = False
        for thread in self._threads:
            thread.join()

    def finish(self) -> None:
        """Ask no more, and wait for what was asked."""
        self.__exit__()

    def more(self, count: int) -> None:
        """Wait for so many answers from now on."""
        wanted = self.done + count
        until(lambda: self.done >= wanted, f"{count} more answers; failed: {self.failed[:3]}")

    def _ask(self, tokens: int, stream: bool) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=PATIENCE_S)
        body = json.dumps(
            {
                "model": self._model,
                "stream": stream,
                "max_tokens": tokens,
                "messages": [{"role": "user", "content": "Say something"}],
            }
        )
        first = True
        while self._going and (first or self._again or not stream):
            first = False
            try:
                connection.request("POST", "/v1/chat/completions", body, {"content-type": "application/json"})
                answer = connection.getresponse()
                begun = answer.read(1) if stream else b""
                with self._lock:
                    self.begun += stream
                data = begun + answer.read()
                whole = b"data: [DONE]" in data if stream else "choices" in json.loads(data)
                assert answer.status == 200 and whole, f"{answer.status} {data[-300:]!r}"
                with self._lock:
                    self.done += 1
                    self.streams += stream
                    self.replicas[answer.headers["x-aibrix-replica"]] += 1
            except (OSError, http.client.HTTPException, AssertionError, ValueError) as error:
                last = error.partial[-300:] if isinstance(error, http.client.IncompleteRead) else b""
                with self._lock:
                    self.failed.append(f"{'stream' if stream else 'request'}: {type(error).__name__} {error} {last!r}")
                connection.close()
        connection.close()


def until(done: Callable[[], object], what: str, seconds: float = PATIENCE_S) -> None:
    """Wait for it."""
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline, f"not: {what}"
        time.sleep(0.02)
