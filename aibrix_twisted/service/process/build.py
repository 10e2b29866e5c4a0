"""Which build is this?"""

from __future__ import annotations

from aibrix_twisted import __version__
from aibrix_twisted.wire import head


def version() -> str:
    """The version, and whether what every byte passes through was compiled when it was installed (see setup.py)."""
    return f"{__version__} ({'interpreted' if str(head.__file__).endswith('.py') else 'compiled'})"
