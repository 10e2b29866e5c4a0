"""What setup.cfg cannot say: the rooms that every request and every byte pass through are compiled, by mypyc.

They stay plain Python, and run as such where there is no C compiler, at about twice the CPU.  Only what is built to be
installed is compiled; an editable install runs the sources as they are.  C{AIBRIX_COMPILE} decides otherwise: C{never},
or C{always}, which fails where it cannot be done.
"""

from __future__ import annotations

import os
import sys

from setuptools import Extension, setup

#: What each request passes, by folder: what is asked once in a while would take long to compile, and gain nothing.
HOT = {
    "domain": (
        "assembly",
        "attempt",
        "breaker",
        "buffer_sizes",
        "client",
        "engine_load",
        "exchange",
        "fleet",
        "health",
        "histogram",
        "memory",
        "overload",
        "prefill",
        "prefix_index",
        "prompt",
        "quantiles",
        "replica",
        "timing",
    ),
    "policy": (
        "ask",
        "blend",
        "cache_aware",
        "candidates",
        "choice",
        "consistent_hash",
        "least_busy_time",
        "least_gpu_cache",
        "least_kv_cache",
        "least_latency",
        "least_loaded",
        "least_request",
        "least_utilization",
        "least_work",
        "load_aware",
        "lot",
        "policy",
        "power_of_two",
        "prefix_cache",
        "prefix_cache_preble",
        "prefix_scores",
        "rendezvous",
        "retry",
        "round_robin",
        "scorer",
        "session_affinity",
        "slo",
        "throughput",
        "uniform",
        "vtc_basic",
    ),
    "service": ("direct", "wheel"),
    "service/discovery": ("catalogue",),
    "service/downstream": ("flow", "protocol", "reply", "unsent", "work"),
    "service/exchange": (
        "admit",
        "answers",
        "attempt",
        "choose",
        "dispatch",
        "evidence",
        "exchanges",
        "failures",
        "flights",
        "given",
        "heal",
        "respond",
        "run",
        "settle",
        "sizes",
        "waiting",
    ),
    "service/telemetry": ("access_log", "book", "metrics", "record"),
    "service/upstream": ("connect", "pool", "protocol"),
    "wire": (
        "bounds",
        "chunked",
        "framing",
        "head",
        "jsonbody",
        "kept",
        "onward",
        "openai",
        "prompt_text",
        "remembered",
        "request",
        "response",
        "routes",
        "splice",
        "sse",
        "stream",
        "usage",
    ),
}

#: Commands that make what is installed.
BUILDS = {"bdist_wheel", "build", "build_ext", "install"}


def extensions() -> list[Extension]:
    """What is to be compiled now."""
    wish = os.environ.get("AIBRIX_COMPILE", "")
    if wish not in ("", "never", "always"):
        sys.exit(f"AIBRIX_COMPILE={wish!r}: expected never or always")
    if wish == "never" or not BUILDS & set(sys.argv):
        return []
    try:
        from mypyc.build import mypycify
    except ImportError:
        if wish == "always":
            raise
        sys.stderr.write("mypyc is not there: nothing is compiled\n")
        return []
    paths = [f"aibrix_twisted/{folder}/{name}.py" for folder, names in HOT.items() for name in names]
    try:
        found = mypycify(paths, opt_level="2", debug_level="0")
    except SystemExit:  # mypy has said why: some release of a library has other types
        if wish == "always":
            raise
        sys.stderr.write("mypyc does not take it: nothing is compiled\n")
        return []
    for extension in found:
        extension.optional = wish != "always"
    return list(found)


setup(ext_modules=extensions())
