"""The openai SDK's clients, closed when the tests are over: one that is only forgotten leaves its sockets open."""

from __future__ import annotations

import openai

_made: list[openai.OpenAI] = []


def client_of(url: str, timeout_s: float = 60) -> openai.OpenAI:
    """A client that does not retry, so that every failure is seen.

    @param url: of a server, without C{/v1}.
    """
    client = openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0, timeout=timeout_s)
    _made.append(client)
    return client


def close_all() -> None:
    """Let go of every connection."""
    for client in _made:
        client.close()
