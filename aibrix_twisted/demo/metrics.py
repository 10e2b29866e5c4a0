"""A simulated engine's C{/metrics}, with vLLM's names."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aibrix_twisted.demo.engine import DemoEngine


def exposition(engine: DemoEngine) -> bytes:
    """Prometheus text, format 0.0.4."""
    stats = engine.stats
    capacity = 4096 * 16
    used = stats.running * 256 / capacity
    rows = (
        ("num_requests_running", "gauge", stats.running),
        ("num_requests_waiting", "gauge", stats.waiting),
        ("kv_cache_usage_perc", "gauge", min(1.0, used)),
        ("prefix_cache_queries_total", "counter", stats.prompt_tokens),
        ("prefix_cache_hits_total", "counter", stats.cached_tokens),
        ("prompt_tokens_total", "counter", stats.prompt_tokens),
        ("generation_tokens_total", "counter", stats.generated_tokens),
        ("num_preemptions_total", "counter", 0),  # it never puts a request back
        ("request_success_total", "counter", stats.finished),
    )
    lines = []
    for name, kind, value in rows:
        lines.append(f"# TYPE vllm:{name} {kind}\n")
        for model in engine.models:
            lines.append(f'vllm:{name}{{engine="0",model_name="{model}"}} {float(value)}\n')
    return "".join(lines).encode()
