"""What is wrong with where answers for clients that are too slow would go."""

from __future__ import annotations

from collections.abc import Iterator
from tempfile import TemporaryFile

from aibrix_twisted.domain.settings import Limits
from aibrix_twisted.service.config.locate import Path as Place


def spool_faults(limits: Limits) -> Iterator[tuple[Place, str]]:
    """Nothing, where nothing is to be put into files."""
    if limits.slow_client != "spool":
        return
    if not limits.client_read_rate:
        yield (
            ("limits", "client_read_rate"),
            'found 0, expected a number above 0: it says which clients are slow, for slow_client = "spool"',
        )
    if limits.spool_total_bytes < limits.spool_bytes:
        yield (
            ("limits", "spool_total_bytes"),
            f"found {limits.spool_total_bytes}, expected a number not below spool_bytes, which is {limits.spool_bytes}",
        )
    try:
        with TemporaryFile(dir=limits.spool_dir, buffering=0) as file:
            file.write(b"?")
    except OSError as error:
        yield (
            ("limits", "spool_dir"),
            f"found {limits.spool_dir!r}, expected a directory in which files can be written ({error.strerror})",
        )
