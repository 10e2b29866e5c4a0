"""Which replica?  One file a policy; this one lists them by the names that AIBrix gave them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from aibrix_twisted.domain.token_tracker import TokenTracker
from aibrix_twisted.policy.cache_aware import CacheAware
from aibrix_twisted.policy.consistent_hash import ConsistentHash
from aibrix_twisted.policy.least_busy_time import LeastBusyTime
from aibrix_twisted.policy.least_gpu_cache import LeastGpuCache
from aibrix_twisted.policy.least_kv_cache import LeastKvCache
from aibrix_twisted.policy.least_latency import LeastLatency
from aibrix_twisted.policy.least_request import LeastRequest
from aibrix_twisted.policy.least_utilization import LeastUtilization
from aibrix_twisted.policy.least_work import LeastWork
from aibrix_twisted.policy.load_aware import LoadAware
from aibrix_twisted.policy.means import Means
from aibrix_twisted.policy.policy import Policy
from aibrix_twisted.policy.power_of_two import PowerOfTwo
from aibrix_twisted.policy.prefix_cache import PrefixCache
from aibrix_twisted.policy.prefix_cache_preble import PrefixCachePreble
from aibrix_twisted.policy.round_robin import RoundRobin
from aibrix_twisted.policy.session_affinity import SessionAffinity
from aibrix_twisted.policy.slo import Slo
from aibrix_twisted.policy.throughput import Throughput
from aibrix_twisted.policy.uniform import Uniform
from aibrix_twisted.policy.vtc_basic import VtcBasic

#: Name to maker.  Each model has policy objects of its own, for some remember what they chose.
POLICIES: Final[dict[str, Callable[[Means], Policy]]] = {
    "cache-aware": lambda means: CacheAware(means.index),
    "consistent-hash": lambda means: ConsistentHash(),
    "least-busy-time": lambda means: LeastBusyTime(),
    "least-gpu-cache": lambda means: LeastGpuCache(),
    "least-kv-cache": lambda means: LeastKvCache(),
    "least-latency": lambda means: LeastLatency(),
    "least-request": lambda means: LeastRequest(),
    "least-utilization": lambda means: LeastUtilization(),
    "least-work": lambda means: LeastWork(means.index),
    "load-aware": lambda means: LoadAware(means.index),
    "power-of-two": lambda means: PowerOfTwo(),
    "prefix-cache": lambda means: PrefixCache(means.index, means.prefix.imbalance, means.prefix.deviations),
    "prefix-cache-preble": lambda means: PrefixCachePreble(means.index, means.prefix.imbalance),
    "random": lambda means: Uniform(),
    "round-robin": lambda means: RoundRobin(),
    "session-affinity": lambda means: SessionAffinity(),
    "slo": lambda means: Slo("slo", means.slo, means.profile_of),
    "slo-least-load": lambda means: Slo("slo-least-load", means.slo, means.profile_of),
    "slo-pack-load": lambda means: Slo("slo-pack-load", means.slo, means.profile_of),
    "throughput": lambda means: Throughput(),
    "vtc-basic": lambda means: VtcBasic(TokenTracker()),
}

#: Those that decide alone, whatever stands beside them.
EXCLUSIVE: Final = frozenset({"slo", "slo-least-load", "slo-pack-load"})

#: Those that give scores, which can be blended.
BLENDED: Final = frozenset(
    {
        "cache-aware", "least-busy-time", "least-gpu-cache", "least-kv-cache", "least-latency", "least-request",
        "least-utilization", "least-work", "load-aware", "prefix-cache", "prefix-cache-preble", "session-affinity",
        "throughput", "vtc-basic",
    }
)  # fmt: skip
