"""What an engine's own metrics say of its load.

A page has a thousand lines and more, and there may be a thousand replicas that are read once a second, so this is no
parser of the whole format: one expression goes over the page once and stops at the lines that are wanted only.
Figures have L{aibrix_twisted.domain.engine_load.EngineLoad}'s names, whatever an engine calls them.  Engines' names are
those of vLLM 0.32 and llama.cpp as recorded (C{tests/corpus/*.metrics}), of SGLang's and TensorRT-LLM's sources, and
those which vLLM had before.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import islice
from typing import Any, Final, NamedTuple

import orjson

#: What was said; what was not is not in it.
Figures = dict[str, float]

#: Where each engine has its metrics: the second is asked where the first is not there.  Others have none that we know.
METRICS_PATHS: Final[Mapping[str, tuple[bytes, ...]]] = {
    "vllm": (b"/metrics",),
    "sglang": (b"/metrics",),  # with --enable-metrics
    "trtllm": (b"/prometheus/metrics", b"/metrics"),  # the second is JSON where the first is known
    "llamacpp": (b"/metrics",),  # with --metrics
}

#: Lines that are looked at; the rest of a page that has more is not.  A rank has a few, and no engine this many.
_MAX_LINES: Final = 4096

#: More than that is no number of anything; sums of so much are finite still.
_MOST: Final = 1e300

#: After a name: labels or a blank, then a value that ends in this line.  Nothing of it is ever tried twice.
_REST: Final = (
    rb"(?:_total)?(?:[ \t]*+\{((?:[^\"}\n]|\"(?:[^\"\\\n]|\\.)*+\")*+)\}[ \t]*+|[ \t]++)"
    rb"([^ \t\r\n]{1,64}+)(?=[ \t\r\n])"
)
_LABEL: Final = re.compile(rb"([A-Za-z_][A-Za-z0-9_]*+)[ \t]*+=[ \t]*+\"((?:[^\"\\]|\\.)*+)\"")

#: Where several series differ in nothing else, they are one: said again by another rank, or under another model's name.
_SAME: Final = frozenset({b"model_name", b"tp_rank", b"pp_rank", b"moe_ep_rank", b"pid"})

#: Where vLLM says how large its cache is: in the labels of a line whose value means nothing.
_SIZE: Final = b"cache_config_info"

#: Parts of a whole: of several ranks' the fullest counts.
_SHARES: Final = frozenset({"kv_usage", "cpu_cache_usage"})

#: SGLang says its queues whole, and then once more by priority.
_PARTS: Final = b"priority"


class _Dialect(NamedTuple):
    """An engine's names.

    @ivar lines: finds the wanted ones: name, labels, value.
    @ivar names: figure to the names that it goes by; of several that are there the first counts.
    @ivar hits_apart: its prompt tokens do not include those that were found in the cache.
    """

    lines: re.Pattern[bytes]
    names: tuple[tuple[str, tuple[bytes, ...]], ...]
    hits_apart: bool


def _dialect(prefix: bytes, *, hits_apart: bool = False, **names: bytes) -> _Dialect:
    by_figure = tuple((figure, tuple(said.split())) for figure, said in names.items())
    wanted = sorted({name for _, said in by_figure for name in said}, reverse=True)  # longer ones first
    lines = re.compile(rb"\n%b(%b)%b" % (re.escape(prefix), b"|".join(map(re.escape, wanted)), _REST))
    return _Dialect(lines, by_figure, hits_apart)


_DIALECTS: Final[Mapping[str, _Dialect]] = {
    "vllm": _dialect(
        b"vllm:",
        running=b"num_requests_running",
        waiting=b"num_requests_waiting",
        kv_usage=b"kv_cache_usage_perc gpu_cache_usage_perc",
        prefix_cache_queries=b"prefix_cache_queries gpu_prefix_cache_queries",
        prefix_cache_hits=b"prefix_cache_hits gpu_prefix_cache_hits",
        prompt_tokens=b"prompt_tokens",
        generation_tokens=b"generation_tokens",
        preemptions=b"num_preemptions",
        requests=b"e2e_request_latency_seconds_count",
        cpu_cache_usage=b"cpu_cache_usage_perc",
        kv_tokens=b"cache_config_info",
        queue_s=b"request_queue_time_seconds_sum",
        queue_n=b"request_queue_time_seconds_count",
        prefill_s=b"request_prefill_time_seconds_sum",
        prefill_n=b"request_prefill_time_seconds_count",
        decode_s=b"request_decode_time_seconds_sum",
        decode_n=b"request_decode_time_seconds_count",
    ),
    "sglang": _dialect(
        b"sglang:",
        running=b"num_running_reqs",
        waiting=b"num_queue_reqs",
        kv_usage=b"token_usage",
        prefix_cache_hits=b"cached_tokens",
        prompt_tokens=b"prompt_tokens",
        generation_tokens=b"generation_tokens",
        preemptions=b"num_retracted_requests",
        requests=b"num_requests",
        kv_tokens=b"max_total_num_tokens",
    ),
    "trtllm": _dialect(
        b"trtllm_",
        running=b"num_requests_running",
        waiting=b"num_requests_waiting",
        kv_usage=b"kv_cache_utilization",
        prefix_cache_hits=b"prompt_cached_tokens",
        prompt_tokens=b"prompt_tokens",
        generation_tokens=b"generation_tokens",
        requests=b"e2e_request_latency_seconds_count",
        queue_s=b"request_queue_time_seconds_sum",
        queue_n=b"request_queue_time_seconds_count",
    ),
    "llamacpp": _dialect(
        b"llamacpp:",
        hits_apart=True,
        running=b"requests_processing",
        waiting=b"requests_deferred",
        kv_usage=b"kv_cache_usage_ratio",
        prefix_cache_hits=b"prompt_tokens_cached",
        prompt_tokens=b"prompt_tokens",
        generation_tokens=b"tokens_predicted",
    ),
}

#: An ORCA report's names: vLLM's, Triton's, and the engine's own.
_ORCA: Final = {
    "num_requests_running": "running",
    "num_requests_waiting": "waiting",
    "kv_cache_usage_perc": "kv_usage",
    "kv_cache_utilization": "kv_usage",
}


def read(engine: str, page: bytes) -> Figures | None:
    """What a page of metrics says.  Never raises.

    Ranks that work side by side (C{engine}, C{dp_rank}) are added up, of their caches the fullest counts; what is said
    twice counts once.  A value that is negative or not finite was not said, nor was one in a line without its end.

    @param engine: whose names are looked for.
    @return: C{None} where none of them is there, or the engine has none.
    """
    dialect = _DIALECTS.get(engine)
    if dialect is None:
        return None
    if not page.startswith(b"#"):  # each line is found by the end of the one before
        page = b"\n" + page
    found: dict[bytes, list[tuple[bytes, float | None]]] = {}
    for line in islice(dialect.lines.finditer(page), _MAX_LINES):
        found.setdefault(line[1], []).append((line[2] or b"", _number(line[3])))
    if not found:
        return None
    figures: Figures = {}
    if _SIZE in found:
        found[_SIZE] = [(said, _tokens_held(said)) for said, _ in found[_SIZE]]
    for figure, names in dialect.names:
        for name in names:
            value = _joined(found.get(name, []), figure)
            if value is not None:
                figures[figure] = value
                break
    return _completed(figures, dialect.hits_apart)


def read_orca(value: bytes) -> Figures | None:
    """What the response header C{endpoint-load-metrics} says, in ORCA's C{TEXT} or C{JSON} form.  Never raises.

    vLLM sends it, of C{waiting} and C{kv_usage}, to who asks with C{endpoint-load-metrics-format}.  Of several ranks
    its JSON form has the last one's only.

    @return: C{None} where it says nothing of use.
    """
    form, _, report = value.strip().partition(b" ")
    said: dict[str, list[tuple[bytes, float | None]]] = {}
    for name, number in _orca_json(report) if form.upper() == b"JSON" else _orca_text(report):
        figure = _ORCA.get(name.removeprefix("named_metrics."))
        if figure is not None:
            said.setdefault(figure, []).append((b'rank="%d"' % len(said.get(figure, ())), number))
    joined = {figure: _joined(series, figure) for figure, series in said.items()}
    return {figure: number for figure, number in joined.items() if number is not None} or None


def _number(said: bytes) -> float | None:
    try:
        return None if b"_" in said else _counted(float(said))
    except ValueError:
        return None


def _counted(value: float) -> float | None:
    """A value that can be counted with; what is none was not said."""
    return value if 0 <= value <= _MOST else None


def _tokens_held(said: bytes) -> float | None:
    """What vLLM's C{cache_config_info} says in its labels: blocks of so many tokens."""
    labels = dict(_LABEL.findall(said))
    blocks, tokens = _number(labels.get(b"num_gpu_blocks", b"")), _number(labels.get(b"block_size", b""))
    return _counted(blocks * tokens) if blocks and tokens else None


def _joined(series: list[tuple[bytes, float | None]], figure: str) -> float | None:
    """One value out of what was said under one name."""
    by_rank: dict[frozenset[tuple[bytes, bytes]], float] = {}
    for said, value in series:
        labels = dict(_LABEL.findall(said)) if len(series) > 1 else {}
        if value is not None and not labels.get(_PARTS):
            rank = frozenset(pair for pair in labels.items() if pair[0] not in _SAME)
            by_rank[rank] = max(value, by_rank.get(rank, value))
    if not by_rank:
        return None
    return min(1.0, max(by_rank.values())) if figure in _SHARES else sum(by_rank.values())


def _completed(figures: Figures, hits_apart: bool) -> Figures:
    """With what follows: tokens taken in are tokens looked for in the cache, where an engine does not count these."""
    hits, prompt = figures.get("prefix_cache_hits"), figures.get("prompt_tokens")
    if hits is not None and prompt is not None:
        if hits_apart:
            figures["prompt_tokens"] = prompt = prompt + hits
        figures.setdefault("prefix_cache_queries", prompt)
    return figures


def _orca_text(report: bytes) -> list[tuple[str, float | None]]:
    pairs = (pair.partition(b"=") for pair in report.split(b","))
    return [(name.strip().decode("latin-1"), _number(said.strip())) for name, _, said in pairs]


def _orca_json(report: bytes) -> list[tuple[str, float | None]]:
    try:
        document: Any = orjson.loads(report)
    except orjson.JSONDecodeError:
        return []
    named = document.get("named_metrics") if isinstance(document, dict) else None
    if not isinstance(named, dict):
        return []
    return [(name, _counted(float(said))) for name, said in named.items() if type(said) in (int, float)]
