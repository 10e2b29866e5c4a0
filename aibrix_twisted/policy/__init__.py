"""Which replica?  One file a policy; this one lists them by the names that AIBrix gave them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from aibrix_twisted.interfaces import IPolicy
from aibrix_twisted.policy.least_request import LeastRequest
from aibrix_twisted.policy.round_robin import RoundRobin
from aibrix_twisted.policy.uniform import Uniform

#: Name to maker.  Each model has a policy object of its own, for some remember what they chose.
POLICIES: Final[dict[str, Callable[[], IPolicy]]] = {
    "least-request": LeastRequest,
    "random": Uniform,
    "round-robin": RoundRobin,
}
