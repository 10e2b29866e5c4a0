"""Where real engines are kept: built once, used from then on."""

from __future__ import annotations

import os
from pathlib import Path

HOME = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "aibrix-twisted" / "engines"

VLLM = HOME / "vllm"
LLAMA = HOME / "llama"
LLAMA_SERVER = LLAMA / "bin" / "llama-server"
MODEL = HOME / "models" / "tiny"
GGUF = HOME / "models" / "tiny.gguf"
LETTERS = HOME / "models" / "letters"
LETTERS_GGUF = HOME / "models" / "letters.gguf"
NODE = HOME / "node"

VLLM_VERSION = "0.32.0"
TORCH_VERSION = "2.13.0"
LLAMA_CPP_PYTHON_VERSION = "0.3.36"
GGUF_VERSION = "0.19.0"
OPENAI_NODE_VERSION = "6.49.0"
