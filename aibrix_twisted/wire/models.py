"""What C{GET /v1/models} says: read from engines, written for clients."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import orjson

#: Who an engine says owns a model, to the engine.  Seen of vLLM, SGLang and llama-server; TensorRT-LLM's by its source.
_OWNERS: Final = {
    "vllm": "vllm",
    "sglang": "sglang",
    "llamacpp": "llamacpp",
    "tensorrt_llm": "trtllm",
    "tensorrt-llm": "trtllm",
}

Entry = dict[str, Any]


class NoModelList(Exception):
    """The body is no list of models."""


def entries_of(body: bytes) -> list[Entry]:
    """The models that an engine lists, each as it says it; those without an id are left out.

    @raise NoModelList: see there.
    """
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise NoModelList(f"not JSON: {error}") from None
    data = document.get("data") if isinstance(document, dict) else None
    if not isinstance(data, list):
        raise NoModelList("expected an object with a list 'data'")
    return [entry for entry in data if isinstance(entry, dict) and isinstance(entry.get("id"), str) and entry["id"]]


def engine_of(entries: Iterable[Entry]) -> str:
    """The engine that lists these; C{openai} where it does not show."""
    for entry in entries:
        engine = _OWNERS.get(str(entry.get("owned_by", "")).lower())
        if engine:
            return engine
    return "openai"


def model_list(entries: Iterable[Entry]) -> bytes:
    """OpenAI's list."""
    return orjson.dumps({"object": "list", "data": list(entries)})


def model_entry(entry: Entry) -> bytes:
    """OpenAI's model."""
    return orjson.dumps(entry)


def plain_entry(name: str) -> Entry:
    """A model of which nothing but its name is known."""
    return {"id": name, "object": "model", "created": 0, "owned_by": "aibrix-gateway"}
