"""What setup.cfg cannot say: the rooms that every request and every byte pass through are compiled, by mypyc.

They stay plain Python, and run as such where there is no C compiler, at about twice the CPU.  Only what is built to be
installed is compiled; an editable install runs the sources as they are.  C{AIBRIX_COMPILE} decides otherwise: C{never},
or C{always}, which fails where it cannot be done.
"""

from __future__ import annotations

import os
import sys
from glob import glob

from setuptools import Extension, setup

#: What is hot, by folder or file.
HOT = (
    "aibrix_twisted/wire/*.py",
    "aibrix_twisted/domain/*.py",
    "aibrix_twisted/policy/ask.py",
    "aibrix_twisted/policy/candidates.py",
    "aibrix_twisted/policy/choice.py",
    "aibrix_twisted/policy/plan.py",
    "aibrix_twisted/policy/retry.py",
    "aibrix_twisted/policy/selector.py",
    "aibrix_twisted/policy/strategy.py",
    "aibrix_twisted/service/downstream/*.py",
    "aibrix_twisted/service/exchange/*.py",
    "aibrix_twisted/service/telemetry/access_log.py",
    "aibrix_twisted/service/telemetry/book.py",
    "aibrix_twisted/service/telemetry/histogram.py",
    "aibrix_twisted/service/telemetry/metrics.py",
    "aibrix_twisted/service/telemetry/record.py",
    "aibrix_twisted/service/telemetry/tracer.py",
    "aibrix_twisted/service/upstream/*.py",
    "aibrix_twisted/service/wheel.py",
)

#: Read once, and by pydantic, which wants classes that it can look into.
NOT = {"aibrix_twisted/domain/settings.py"}

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
    hot = [path for pattern in HOT for path in sorted(glob(pattern)) if path not in NOT]
    found = mypycify([path for path in hot if not path.endswith("__init__.py")], opt_level="2", debug_level="0")
    for extension in found:
        extension.optional = wish != "always"
    return list(found)


setup(ext_modules=extensions())
