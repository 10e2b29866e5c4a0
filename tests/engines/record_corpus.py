"""Writes down what real engines answer, for the tests that have no engines: C{python -m tests.engines.record_corpus}.

Each file of C{tests/corpus} is one raw response, head and framing included, as it came from the engine's socket.
"""

from __future__ import annotations

import json
import socket
from pathlib import Path

from tests.engines import home, processes

CORPUS = Path(__file__).parents[1] / "corpus"

MESSAGES = [{"role": "user", "content": "say something of copper rivers"}]


def main() -> None:
    """Every engine, every kind."""
    CORPUS.mkdir(exist_ok=True)
    for name, start in (
        ("vllm", processes.vllm),
        ("llama", processes.llama_server),
        ("transformers", processes.transformers_serve),
    ):
        engine = start()
        try:
            model = str(home.MODEL) if name == "transformers" else "tiny"
            for kind, path, document in requests(model):
                raw = ask(engine.port, path, document)
                # a model that is a folder says where it lies, which is nobody's business
                raw = raw.replace(str(home.MODEL).encode(), b"m" * len(str(home.MODEL)))
                (CORPUS / f"{name}_{kind}.http").write_bytes(raw)
                print(f"{name} {kind}: {len(raw)} bytes")
        finally:
            engine.stop()


def requests(model: str) -> list[tuple[str, str, dict[str, object]]]:
    """Kind, path, document."""
    chat = {"model": model, "messages": MESSAGES, "max_tokens": 6}
    stream = {**chat, "stream": True}
    prompt = {"model": model, "prompt": "copper", "max_tokens": 6}
    return [
        ("chat", "/v1/chat/completions", chat),
        ("chat_stream", "/v1/chat/completions", stream),
        ("chat_stream_usage", "/v1/chat/completions", {**stream, "stream_options": {"include_usage": True}}),
        ("completion", "/v1/completions", prompt),
        ("completion_stream", "/v1/completions", {**prompt, "stream": True}),
    ]


def ask(port: int, path: str, document: dict[str, object]) -> bytes:
    """The raw answer."""
    body = json.dumps(document).encode()
    with socket.create_connection(("127.0.0.1", port), 60) as peer:
        peer.sendall(
            b"POST %b HTTP/1.1\r\nhost: engine\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b"
            % (path.encode(), len(body), body)
        )
        peer.settimeout(60)
        raw = b""
        while not _whole(raw):
            data = peer.recv(65536)
            if not data:
                break
            raw += data
        return raw


def _whole(raw: bytes) -> bool:
    head, end, rest = raw.partition(b"\r\n\r\n")
    if not end:
        return False
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return len(rest) >= int(line.partition(b":")[2])
    return rest.endswith(b"\r\n0\r\n\r\n") or rest == b"0\r\n\r\n"


if __name__ == "__main__":
    main()
