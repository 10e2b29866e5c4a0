"""Writes down what real engines say of their load while they are busy: C{python -m tests.engines.record_metrics}.

Each file of C{tests/corpus} that ends in C{.metrics} is the body of one C{GET /metrics}.  Those of engines that need a
GPU are written by hand, and say so in their first line.
"""

from __future__ import annotations

import json
import threading
import time
import urllib.request

from tests.engines import processes
from tests.engines.record_corpus import CORPUS

#: More than either engine takes at once, as L{processes} starts them, so that some wait.
STREAMS = 24

#: Long enough to be under way still when the page is read.
TOKENS = 1500


def main() -> None:
    """Both engines."""
    for name, start in (("llama", processes.llama_server), ("vllm", processes.vllm)):
        engine = start()
        try:
            for _ in range(2):  # the second finds the first's prompt in the cache
                generate(engine, "copper rivers " * 20, 4)
            for number in range(STREAMS):
                threading.Thread(target=generate, args=(engine, f"copper {number}", TOKENS), daemon=True).start()
            time.sleep(4)
            page = engine.get("/metrics")
            (CORPUS / f"{name}_busy.metrics").write_text(page)
            print(f"{name}: {len(page)} bytes, {page.count(chr(10))} lines")
        finally:
            engine.stop()


def generate(engine: processes.Running, prompt: str, tokens: int) -> None:
    """Ask for tokens; that the engine stops before they have all come does not matter."""
    document = {"model": "tiny", "prompt": prompt, "max_tokens": tokens, "ignore_eos": True}
    request = urllib.request.Request(
        engine.url + "/v1/completions",
        json.dumps(document).encode(),
        {"content-type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            response.read()
    except OSError:
        pass


if __name__ == "__main__":
    main()
