"""Other gateways' names for policies that are here, too."""

from __future__ import annotations

from typing import Final

#: Theirs to ours.
ALIASES: Final[dict[str, str]] = {
    "auto": "least-work",  # ours: whatever does best on the traces of docs/routing.md
    # AIBrix
    "slo-least-load-pulling": "slo",
    # production-stack
    "roundrobin": "round-robin",
    "session": "session-affinity",
    "prefixaware": "prefix-cache",
    "loadaware": "load-aware",
    # vllm-router, SGLang's gateway
    "round_robin": "round-robin",
    "power_of_two": "power-of-two",
    "cache_aware": "cache-aware",
    "consistent_hash": "consistent-hash",
    "consistent_hashing": "consistent-hash",
    "rendezvous_hash": "consistent-hash",
    "prefix_hash": "consistent-hash",
    "manual": "session-affinity",
    # LiteLLM
    "simple-shuffle": "random",
    "least-busy": "least-request",
    "latency-based-routing": "least-latency",
    "usage-based-routing-v2": "throughput",
    # Olla, Envoy, Higress
    "least-connections": "least-request",
    "least_request": "least-request",
    "global_least_request": "least-request",
    "prefix_cache": "prefix-cache",
}
