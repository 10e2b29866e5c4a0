"""Engines' pages of metrics: real ones, cut ones, twisted ones, and whatever a real parser makes of them."""

from __future__ import annotations

import dataclasses
import math
import string
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families
from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.domain.engine_load import EngineLoad
from aibrix_twisted.wire.engine_metrics import METRICS_PATHS, Figures, read, read_orca

CORPUS = Path(__file__).parents[1] / "corpus"

PAGES = {
    "vllm": "vllm_busy",
    "llamacpp": "llama_busy",
    "sglang": "sglang_by_hand",
    "trtllm": "trtllm_by_hand",
}


def page(engine: str) -> bytes:
    """One of the corpus."""
    return (CORPUS / f"{PAGES[engine]}.metrics").read_bytes()


class RealPageTests(SynchronousTestCase):
    """tests/corpus/*.metrics."""

    def test_vllm(self) -> None:
        """Sixteen at once, eight more wait."""
        figures = read("vllm", page("vllm")) or {}
        self.assertAlmostEqual(figures.pop("kv_usage"), 0.0215, 4)
        self.assertEqual(
            figures,
            {
                "running": 16,
                "waiting": 8,
                "prefix_cache_queries": 576,
                "prefix_cache_hits": 128,
                "prompt_tokens": 576,
                "generation_tokens": 22219,
                "preemptions": 0,
                "requests": 2,
                "kv_tokens": 8192 * 128,
                "queue_s": 6.072899998343928e-05,
                "queue_n": 2,
                "prefill_s": 0.032340499000042655,
                "prefill_n": 2,
                "decode_s": 0.023587718000044333,
                "decode_n": 2,
            },
        )

    def test_llamacpp(self) -> None:
        """Four slots, twelve wait; no word of the cache's use.  Cached tokens are counted apart: both are taken in."""
        self.assertEqual(
            read("llamacpp", page("llamacpp")),
            {
                "running": 4,
                "waiting": 12,
                "prefix_cache_queries": 540,
                "prefix_cache_hits": 282,
                "prompt_tokens": 540,
                "generation_tokens": 12008,
            },
        )

    def test_sglang(self) -> None:
        """Data-parallel ranks are added up, tensor ranks said once, priorities are parts of what was said."""
        self.assertEqual(
            read("sglang", page("sglang")),
            {
                "running": 24 + 31,
                "waiting": 3,
                "kv_usage": 0.83,
                "prefix_cache_queries": 8130000,
                "prefix_cache_hits": 2066000,
                "prompt_tokens": 8130000,
                "generation_tokens": 7558000,
                "preemptions": 7,
            },
        )

    def test_trtllm(self) -> None:
        """By its source."""
        self.assertEqual(
            read("trtllm", page("trtllm")),
            {
                "running": 32,
                "waiting": 7,
                "kv_usage": 0.3712,
                "prefix_cache_queries": 520192,
                "prefix_cache_hits": 130048,
                "prompt_tokens": 520192,
                "generation_tokens": 65024,
            },
        )

    def test_each_is_read_for_its_own_names(self) -> None:
        """Another engine's page says nothing, and an engine without names has no page; paths are of the same engines."""
        self.assertEqual(set(METRICS_PATHS), set(PAGES))
        for engine in (*PAGES, "openai", ""):
            for other in PAGES:
                self.assertEqual(read(engine, page(other)) is not None, engine == other, (engine, other))

    def test_figures_have_the_names_of_the_load(self) -> None:
        """What is read makes an L{EngineLoad}, and nothing of one is never read."""
        names = {field.name for field in dataclasses.fields(EngineLoad)} - {"at", "cpu_cache_usage"}
        self.assertEqual({name for engine in PAGES for name in read(engine, page(engine)) or {}}, names)
        for engine in PAGES:
            EngineLoad(at=1.0, **read(engine, page(engine)) or {})

    def test_cut_anywhere(self) -> None:
        """Of a page that ends too soon each figure is the whole page's or is missing: never a part of a number."""
        for engine in ("vllm", "llamacpp", "trtllm"):
            whole = page(engine)[:14000]
            figures = read(engine, whole) or {}
            for end in range(len(whole)):
                for name, value in (read(engine, whole[:end]) or {}).items():
                    # what came of llama.cpp's prompt tokens grows by a later line
                    if value != figures[name]:
                        self.assertEqual((engine, name, value), ("llamacpp", "prompt_tokens", 258))

    def test_lines_may_end_as_they_like(self) -> None:
        """With CRLF, and from the first line on."""
        for engine in PAGES:
            figures = read(engine, page(engine))
            self.assertEqual(read(engine, page(engine).replace(b"\n", b"\r\n")), figures)
            bare = b"\n".join(line for line in page(engine).split(b"\n") if not line.startswith(b"#"))
            self.assertEqual(read(engine, bare), figures)

    def test_order_does_not_matter(self) -> None:
        """Nor that families are in one piece."""
        for engine in PAGES:
            lines = page(engine).splitlines(keepends=True)
            self.assertEqual(read(engine, b"".join(reversed(lines))), read(engine, page(engine)))


class OlderTests(SynchronousTestCase):
    """What engines said before, or may not say."""

    def test_cache_in_the_hosts_memory(self) -> None:
        """vLLM had one until its first version: the fullest rank's."""
        lines = b'vllm:cpu_cache_usage_perc{engine="0"} 0.25\nvllm:cpu_cache_usage_perc{engine="1"} 0.5\n'
        self.assertEqual(read("vllm", lines), {"cpu_cache_usage": 0.5})

    def test_size_of_the_cache(self) -> None:
        """Of all ranks; where its blocks were not counted, nobody knows."""
        line = 'vllm:cache_config_info{block_size="16",engine="%d",num_gpu_blocks="%s"} 1.0\n'
        self.assertEqual(read("vllm", (line % (0, "100") + line % (1, "100")).encode()), {"kv_tokens": 3200})
        for blocks in ("None", "", "0", "-5", "nan"):
            self.assertEqual(read("vllm", (line % (0, blocks)).encode()), {}, blocks)


class NameTests(SynchronousTestCase):
    """Which lines are meant."""

    def test_old_names(self) -> None:
        """vLLM's before 0.9, and counters without their suffix; where both are there, the new one counts."""
        old = b"vllm:gpu_cache_usage_perc 0.5\nvllm:gpu_prefix_cache_queries_total 8\nvllm:gpu_prefix_cache_hits 2\n"
        self.assertEqual(read("vllm", old), {"kv_usage": 0.5, "prefix_cache_queries": 8, "prefix_cache_hits": 2})
        both = b"vllm:gpu_cache_usage_perc 0.5\nvllm:kv_cache_usage_perc 0.25\nvllm:prompt_tokens 3\n"
        self.assertEqual(read("vllm", both), {"kv_usage": 0.25, "prompt_tokens": 3})
        self.assertEqual(read("llamacpp", b"llamacpp:kv_cache_usage_ratio 0.125\n"), {"kv_usage": 0.125})
        self.assertEqual(
            read("vllm", b"vllm:kv_cache_usage_perc NaN\nvllm:gpu_cache_usage_perc 0.5\n"), {"kv_usage": 0.5}
        )

    def test_names_that_begin_alike(self) -> None:
        """A longer name is another one; one within a comment, a label or the middle of a line is none."""
        for line in (
            b'vllm:num_requests_waiting_by_reason{reason="capacity"} 5\n',
            b"vllm:prompt_tokens_created 1.7e9\n",
            b"vllm:prompt_tokens_total_sum 5\n",
            b"vllm:num_requests_running5 5\n",
            b"vllm:num_requests_running5\n",
            b"vllm:num_requests_running\n",
            b"vllm:num_requests_running \n",
            b"vllm:num_requests_running{} \n5\n",
            b'vllm:num_requests_running{a="b\n"} 5\n',
            b"# HELP vllm:num_requests_running 5\n",
            b" vllm:num_requests_running 5\n",
            b'other{name="vllm:num_requests_running 5\\n"} 5\n',
            b"vllm:num_requests_running 5",
        ):
            self.assertIsNone(read("vllm", line), line)

    def test_forms_of_a_line(self) -> None:
        """Blanks, tabs, timestamps, exemplars, labels with anything in them."""
        for line in (
            b"vllm:num_requests_running 5\n",
            b"vllm:num_requests_running\t5\t\n",
            b"vllm:num_requests_running{}5\n",
            b"vllm:num_requests_running {} 5 1700000000000\n",
            b'vllm:num_requests_running{model_name="a } b \\" { \\\\",engine="0"} 5e0 -1\r\n',
            b'vllm:num_requests_running{ engine = "0" , } +5.0 # {trace_id="x"} 0.67\n',
            b'vllm:num_requests_running{model_name="\xff\xc3\xa9"} 0005\n',
        ):
            self.assertEqual(read("vllm", line), {"running": 5}, line)


class ValueTests(SynchronousTestCase):
    """What counts as said."""

    def test_no_number(self) -> None:
        """The name is there, but nothing was said: no figure, above all not 0."""
        for value in (
            b"NaN",
            b"+Inf",
            b"-Inf",
            b"Infinity",
            b"-1",
            b"1e999",
            b"1e301",
            b"1_0",
            b"0x5",
            b"--5",
            b"five",
        ):
            self.assertEqual(read("vllm", b"vllm:num_requests_running %b\n" % value), {}, value)
        self.assertIsNone(read("vllm", b"vllm:num_requests_running %b\n" % (b"1" * 5000)))

    def test_usage_is_a_share(self) -> None:
        """Never more than 1."""
        self.assertEqual(read("vllm", b"vllm:kv_cache_usage_perc 1.0000001\n"), {"kv_usage": 1})

    def test_ranks(self) -> None:
        """Queues and totals are added up, the fullest cache counts, one that says nothing is left out."""
        said = (
            b'vllm:num_requests_running{engine="0",model_name="m"} 3\nvllm:num_requests_running{engine="1",model_name="m"} 4\n'
            b'vllm:num_requests_running{engine="2",model_name="m"} NaN\n'
            b'vllm:kv_cache_usage_perc{engine="0",model_name="m"} 0.5\nvllm:kv_cache_usage_perc{engine="1",model_name="m"} 0.25\n'
        )
        self.assertEqual(read("vllm", said), {"running": 7, "kv_usage": 0.5})

    def test_models_of_one_replica(self) -> None:
        """A figure that is said again under an adapter's name is the same figure."""
        said = b"".join(
            b'vllm:num_requests_waiting{engine="%d",model_name="%b"} 3\n' % (engine, model)
            for engine in range(2)
            for model in (b"base", b"lora-a", b"lora-b")
        )
        self.assertEqual(read("vllm", said), {"waiting": 6})

    def test_hits_without_prompts(self) -> None:
        """What was looked for is not made up."""
        self.assertEqual(
            read("sglang", b'sglang:cached_tokens_total{cache_source="total"} 5\n'), {"prefix_cache_hits": 5}
        )
        self.assertEqual(read("sglang", b"sglang:prompt_tokens_total 5\n"), {"prompt_tokens": 5})

    def test_no_sum_is_infinite(self) -> None:
        """However much each part is."""
        said = b"".join(b'vllm:prompt_tokens{engine="%d"} 1e300\n' % engine for engine in range(5000))
        self.assertTrue(math.isfinite((read("vllm", said) or {})["prompt_tokens"]))


LABEL_VALUES = st.text(alphabet='ab 01"\\{}\n,=#é', max_size=6)
VALUES = st.one_of(
    st.floats(allow_nan=True, allow_infinity=True).map(repr),
    st.integers(-5, 10**9).map(str),
    st.sampled_from(["NaN", "+Inf", "-Inf", "1e3", "2.5E-2", "+4", "0.0"]),
)
#: Figure to the names by which it is asked for here.
ASKED = {
    "running": "vllm:num_requests_running",
    "waiting": "vllm:num_requests_waiting",
    "kv_usage": "vllm:kv_cache_usage_perc",
    "generation_tokens": "vllm:generation_tokens_total",
    "preemptions": "vllm:num_preemptions_total",
}


@st.composite
def pages(draw: st.DrawFn) -> str:
    """A page as Prometheus's format has it, with vLLM's names and others among them."""
    names = draw(st.lists(st.sampled_from([*ASKED.values(), "vllm:num_requests_waiting_x", "up"]), unique=True))
    lines = []
    for name in names:
        lines += [f"# HELP {name} {draw(st.text(string.ascii_letters + ' ', max_size=8))}", f"# TYPE {name} gauge"]
        series: set[str] = set()
        for _ in range(draw(st.integers(0, 4))):
            labels = {
                label: draw(LABEL_VALUES)
                for label in draw(st.lists(st.sampled_from(["engine", "model_name", "x"]), unique=True))
            }
            said = ",".join(
                '{}="{}"'.format(label, value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"'))
                for label, value in labels.items()
            )
            key = repr(sorted(labels.items()))
            if key not in series:
                series.add(key)
                stamp = draw(st.sampled_from(["", " 1700000000000"]))
                lines.append(f"{name}{{{said}}} {draw(VALUES)}{stamp}" if said else f"{name} {draw(VALUES)}{stamp}")
    return "".join(line + "\n" for line in lines)


def by_the_book(text: str) -> Figures | None:
    """The same, told slowly, of what the parser of Prometheus's own client has read."""
    ranks: dict[str, dict[frozenset[tuple[str, str]], float]] = {}
    there = False
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            for figure, name in ASKED.items():
                if sample.name == name:
                    there = True
                    if 0 <= sample.value <= 1e300:
                        rank = frozenset(pair for pair in sample.labels.items() if pair[0] != "model_name")
                        known = ranks.setdefault(figure, {})
                        known[rank] = max(sample.value, known.get(rank, 0))
    if not there:
        return None
    return {
        figure: min(1.0, max(known.values())) if figure == "kv_usage" else sum(known.values())
        for figure, known in ranks.items()
    }


class OracleTests(SynchronousTestCase):
    """Whatever comes."""

    @given(pages())
    @settings(max_examples=400, deadline=None)
    def test_as_prometheus_reads_it(self, text: str) -> None:
        """Any page of the format: the same figures as by its own client's parser."""
        found, expected = read("vllm", text.encode()), by_the_book(text)
        self.assertEqual(found is None, expected is None)
        self.assertEqual(set(found or {}), set(expected or {}))
        for name, value in (expected or {}).items():
            self.assertTrue(math.isclose((found or {})[name], value, rel_tol=1e-9), (name, found, value))

    @given(
        st.lists(st.one_of(st.binary(max_size=20), st.sampled_from(page("vllm")[3000:5000].splitlines(keepends=True))))
    )
    @settings(deadline=None)
    def test_rubbish(self, pieces: list[bytes]) -> None:
        """Any bytes, with lines of a real page among them: never an error, never anything but finite numbers."""
        for value in (read("vllm", b"".join(pieces)) or {}).values():
            self.assertTrue(0 <= value < math.inf)


class OrcaTests(SynchronousTestCase):
    """The response header C{endpoint-load-metrics}."""

    def test_as_vllm_sends_it(self) -> None:
        """Both forms (vLLM 0.32, C{orca_metrics.py})."""
        expected = {"kv_usage": 0.4, "waiting": 3}
        for value in (
            b"TEXT named_metrics.kv_cache_usage_perc=0.4, named_metrics.num_requests_waiting=3.0",
            b'JSON {"named_metrics": {"kv_cache_usage_perc": 0.4, "num_requests_waiting": 3.0}}',
        ):
            self.assertEqual(read_orca(value), expected)

    def test_others(self) -> None:
        """Names of ORCA's that are no load of ours are passed over; Triton's name is known; case is not looked at."""
        text = b" text cpu_utilization=0.3,named_metrics.kv_cache_utilization=2.5 , num_requests_running=7,x,=,y=z "
        self.assertEqual(read_orca(text), {"kv_usage": 1, "running": 7})

    def test_ranks(self) -> None:
        """Where the text form names a figure several times, it is of several ranks."""
        text = b"TEXT num_requests_waiting=1, num_requests_waiting=1, kv_cache_usage_perc=0.5, kv_cache_usage_perc=0.25"
        self.assertEqual(read_orca(text), {"waiting": 2, "kv_usage": 0.5})

    def test_what_says_nothing(self) -> None:
        """Empty, binary, of another form, or no numbers: nothing."""
        for value in (
            b"", b"TEXT", b"TEXT ", b"JSON", b"JSON {", b"JSON []", b'JSON {"named_metrics": 5}', b"BIN CgU=",
            b'JSON {"named_metrics": {"num_requests_waiting": "3"}}', b"TEXT num_requests_waiting=NaN",
            b'JSON {"named_metrics": {"num_requests_waiting": true, "kv_cache_usage_perc": -1}}', b"\xff\x00",
            b"JSON " + b"[" * 5000, b'JSON {"named_metrics": {"num_requests_waiting": NaN}}',
        ):  # fmt: skip
            self.assertIsNone(read_orca(value), value)

    @given(st.binary(max_size=60), st.sampled_from([b"", b"TEXT ", b"JSON "]))
    def test_rubbish(self, value: bytes, form: bytes) -> None:
        """Never an error."""
        read_orca(form + value)
