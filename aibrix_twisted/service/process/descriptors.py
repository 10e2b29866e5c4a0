"""How many clients a process can hold: each costs a descriptor, and so does its replica's connection."""

from __future__ import annotations

import resource
from typing import Final

#: Of all descriptors; as many again go upstream, and the rest is for everything else.
_SHARE: Final = 0.45


def raise_descriptor_limit() -> None:
    """Take as many descriptors as the system lets us have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def max_clients() -> int:
    """Clients for whom there are descriptors."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 1 << 30 if soft == resource.RLIM_INFINITY else max(1, int(soft * _SHARE))
