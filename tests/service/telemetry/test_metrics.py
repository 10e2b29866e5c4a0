"""Metrics: counted once, exposed truly."""

from __future__ import annotations

import random

from prometheus_client.exposition import generate_latest
from prometheus_client.parser import text_string_to_metric_families
from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.domain.assembly import Outcome
from aibrix_twisted.domain.attempt import AttemptRecord, Kind
from aibrix_twisted.domain.breaker import BreakerState
from aibrix_twisted.domain.engine_load import EngineLoad
from aibrix_twisted.domain.fleet import Fleet
from aibrix_twisted.domain.health import Health
from aibrix_twisted.domain.histogram import Histogram
from aibrix_twisted.domain.settings import BreakerSettings, HealthSettings
from aibrix_twisted.service.telemetry.buckets import DURATION_S, ITL_S, OWN_S, PAUSE_S, TICK_S, TTFT_S
from aibrix_twisted.service.telemetry.exposition import registry_of
from aibrix_twisted.service.telemetry.families import FAMILIES
from aibrix_twisted.service.telemetry.gc_pauses import GENERATIONS
from aibrix_twisted.service.telemetry.metrics import AT_ONCE, MAX_LABELS, MAX_ROWS, OTHER, Metrics
from tests.fakes import replica
from tests.service.telemetry.test_access_log import an_exchange


class State:
    """What the exposition reads."""

    def __init__(self) -> None:
        self.metrics = Metrics()
        self.fleet = Fleet.of([replica("gpu0"), replica("gpu1", None)])
        self.clients = 3
        self.waiting = {"m": 2}
        self.hedges = self.metrics.hedges
        self.now = 10.0
        self.upstreams = {"idle": 1, "busy": 2}
        self.buffers = {"waiting": 4096}
        self.buffer_limits = {"m": 65536}
        self.turns: Histogram | None = Histogram(TICK_S)
        self.last_seen = 1700000000.5
        self.gc_pauses = {name: Histogram(PAUSE_S) for name in GENERATIONS}


def an_attempt(metrics: Metrics | None = None) -> AttemptRecord:
    """One of a stream that went well, of three reads."""
    metrics = metrics or Metrics()
    record = AttemptRecord("gpu0", "m", Kind.FIRST, 1.0001, 1.0003, metrics.gaps_of("m", "gpu0"))
    record.sent, record.head, record.first, record.ended = 1.0004, 1.04, 1.05, 1.25
    for at in (1.05, 1.2, 1.25):
        record.beats.beat(at)
    record.outcome = Outcome.COMPLETE
    return record


class MetricsTests(SynchronousTestCase):
    """From exchanges to the scraper's text."""

    def exposed(self, state: State) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
        """All samples, as Prometheus's own parser reads them."""
        text = generate_latest(registry_of(state)).decode()
        return {
            (sample.name, tuple(sorted(sample.labels.items()))): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }

    def test_an_exchange_is_counted_once_everywhere(self) -> None:
        """Request, duration, first token, tokens."""
        state = State()
        exchange = an_exchange()
        exchange.model, exchange.status, exchange.attempts, exchange.stream = "m", 200, 1, True
        exchange.stamps.read, exchange.stamps.admitted, exchange.stamps.first_byte = 1.0, 1.0, 1.05
        exchange.served = an_attempt()
        exchange.input_tokens, exchange.output_tokens = 7, 5
        state.metrics.count(exchange)
        samples = self.exposed(state)
        labels = (("model", "m"), ("outcome", "complete"), ("route", "completions"), ("status", "200"))
        self.assertEqual(samples["aibrix_gateway_requests_total", labels], 1)
        self.assertEqual(
            samples["aibrix_gateway_request_duration_seconds_count", (("model", "m"), ("route", "completions"))], 1
        )
        self.assertEqual(
            samples["aibrix_gateway_time_to_first_token_seconds_bucket", (("le", "0.06"), ("model", "m"))], 1
        )
        self.assertEqual(samples["aibrix_gateway_tokens_total", (("kind", "output"), ("model", "m"))], 5)

    def test_a_stream_is_counted_by_model_and_by_replica(self) -> None:
        """First token as the client and as the replica has it, gaps, time per token, and what of it was our own."""
        state = State()
        exchange, record = an_exchange(), an_attempt(state.metrics)
        exchange.model, exchange.attempts, exchange.stream, exchange.served = "m", 1, True, record
        exchange.stamps.read, exchange.stamps.admitted, exchange.stamps.first_byte = 1.0, 1.0001, 1.0501
        exchange.output_tokens, exchange.stamps.ended = 3, 1.2501
        state.metrics.count_attempt(record, streamed=True)
        state.metrics.count(exchange)
        samples = self.exposed(state)
        at_replica = (("model", "m"), ("replica", "gpu0"))
        self.assertEqual(samples["aibrix_gateway_replica_time_to_first_token_seconds_count", at_replica], 1)
        self.assertEqual(samples["aibrix_gateway_inter_token_latency_seconds_count", at_replica], 2)
        self.assertAlmostEqual(samples["aibrix_gateway_inter_token_latency_seconds_sum", at_replica], 0.2)
        self.assertAlmostEqual(samples["aibrix_gateway_time_per_output_token_seconds_sum", (("model", "m"),)], 0.1)
        own = {
            phase: samples["aibrix_gateway_overhead_seconds_sum", (("phase", phase),)]
            for phase in ("admit", "route", "begin", "finish", "total")
        }
        for phase, took in {"admit": 1e-4, "route": 2e-4, "begin": 1e-4, "finish": 1e-4, "total": 5e-4}.items():
            self.assertAlmostEqual(own[phase], took, msg=phase)

    def test_tokens_that_nobody_counted(self) -> None:
        """Events stand for them, under a name of their own."""
        state = State()
        exchange = an_exchange()
        exchange.model, exchange.stream, exchange.served, exchange.events = "m", True, an_attempt(), 9
        state.metrics.count(exchange)
        tokens = {kind: self.exposed(state)["aibrix_gateway_tokens_total", (("kind", kind), ("model", "m"))]
                  for kind in ("input", "output", "cached", "output_events")}  # fmt: skip
        self.assertEqual(tokens, {"input": 0, "output": 0, "cached": 0, "output_events": 9})

    def test_names_without_end(self) -> None:
        """So many have numbers of their own; the rest share theirs, and nothing is lost."""
        state = State()
        metrics = state.metrics
        for number in range(MAX_ROWS + 50):
            exchange, record = an_exchange(), an_attempt(metrics)
            exchange.model = record.model = f"m{number}"
            exchange.served, exchange.attempts, exchange.input_tokens = record, 1, 1
            record.replica = f"r{number}"
            metrics.count_attempt(record, streamed=True)
            metrics.count(exchange)
        self.assertEqual((len(metrics.models), len(metrics.models[OTHER].durations)), (MAX_LABELS + 1, 1))
        self.assertEqual(metrics.models[OTHER].tokens["input"], MAX_ROWS + 50 - MAX_LABELS)
        for rows in (metrics.pairs, metrics.requests, metrics.attempts):
            self.assertLessEqual(len(rows), MAX_ROWS + 1)
        self.assertEqual(sum(metrics.requests.values()), MAX_ROWS + 50)
        self.assertEqual(sum(metrics.attempts.values()), MAX_ROWS + 50)
        self.assertEqual(metrics.attempts[OTHER, "complete"], 50)
        self.assertEqual(metrics.pairs[OTHER, OTHER].ttft.buckets()[-1][1], 51.0)

    def test_nobody_looks(self) -> None:
        """What was put down does not grow without end; whoever looks misses nothing of it."""
        metrics = Metrics()
        for number in range(3 * AT_ONCE + 5):
            exchange, record = an_exchange(), an_attempt(metrics)
            exchange.model, exchange.served = "m", record
            metrics.count_attempt(record, streamed=True)
            metrics.count(exchange)
            self.assertLess(len(metrics._ended), AT_ONCE)
            if number == 7:
                self.assertEqual(sum(metrics.attempts.values()), 8)
        self.assertEqual(sum(metrics.requests.values()), 3 * AT_ONCE + 5)
        self.assertEqual(metrics.own["total"].buckets()[-1][1], 3 * AT_ONCE + 5)
        self.assertEqual(metrics.pairs["m", "gpu0"].ttft.buckets()[-1][1], 3 * AT_ONCE + 5)

    def test_refusals_and_errors(self) -> None:
        """An unknown model is C{other}, whatever it was called; errors by their type."""
        state = State()
        exchange = an_exchange()
        exchange.outcome, exchange.error, exchange.status = None, "client_unknown_model", 404
        state.metrics.count(exchange)
        gone = an_exchange()
        gone.outcome, gone.error, gone.status, gone.model = Outcome.ABANDONED, "client_gone", 499, "m"
        state.metrics.count(gone)
        samples = self.exposed(state)
        labels = (("model", "other"), ("outcome", "refused"), ("route", "completions"), ("status", "404"))
        self.assertEqual(samples["aibrix_gateway_requests_total", labels], 1)
        self.assertEqual(samples["aibrix_gateway_errors_total", (("error_type", "client_gone"),)], 1)

    def test_gauges(self) -> None:
        """Of the fleet as it is."""
        state = State()
        lease = state.fleet.replicas[0].load.lease("m")
        samples = self.exposed(state)
        self.assertEqual(samples["aibrix_gateway_requests_in_flight", (("model", "m"), ("replica", "gpu0"))], 1)
        self.assertEqual(samples["aibrix_gateway_replica_up", (("replica", "gpu1"),)], 0)
        self.assertEqual(samples["aibrix_gateway_client_connections", ()], 3)
        lease.release()
        self.assertEqual(self.in_flight(state), {"m": 0})

    def test_models_that_come_and_go(self) -> None:
        """One that a replica serves no more is there as long as something of it is under way."""
        state = State()
        load = state.fleet.replicas[0].load
        gone, lease = load.lease("adapter-1"), load.lease("adapter-2")
        gone.release()
        self.assertEqual(self.in_flight(state), {"adapter-2": 1})
        lease.release()
        self.assertEqual(self.in_flight(state), {})

    def in_flight(self, state: State) -> dict[str, float]:
        """By model."""
        return {
            dict(labels)["model"]: value
            for (name, labels), value in self.exposed(state).items()
            if name == "aibrix_gateway_requests_in_flight"
        }

    def test_the_process(self) -> None:
        """Turns of the reactor, its last sign of life, the collector, what is kept, and what every process tells."""
        state = State()
        assert state.turns is not None
        state.turns.observe(0.003)
        state.gc_pauses["2"].observe(0.02)
        samples = self.exposed(state)
        self.assertEqual(samples["aibrix_gateway_reactor_tick_seconds_bucket", (("le", "0.0025"),)], 0)
        self.assertEqual(samples["aibrix_gateway_reactor_tick_seconds_bucket", (("le", "0.005"),)], 1)
        self.assertEqual(samples["aibrix_gateway_reactor_last_seen_seconds", ()], 1700000000.5)
        self.assertEqual(samples["aibrix_gateway_gc_pause_seconds_count", (("kind", "2"),)], 1)
        self.assertEqual(samples["aibrix_gateway_gc_pause_seconds_count", (("kind", "0"),)], 0)
        self.assertEqual(samples["aibrix_gateway_buffer_bytes", (("kind", "waiting"),)], 4096)
        self.assertGreater(samples["process_resident_memory_bytes", ()], 0)
        state.turns = None
        self.assertNotIn(("aibrix_gateway_reactor_tick_seconds_count", ()), self.exposed(state))

    def test_every_family_is_exposed(self) -> None:
        """What is declared is there, with its kind; and nothing of ours that is not."""
        state = State()
        state.metrics.configure(genai=True)
        exposed = {
            (family.name, family.type)
            for family in text_string_to_metric_families(generate_latest(registry_of(state)).decode())
            if not family.name.startswith("process_")
        }
        self.assertEqual(exposed, {(family.prefix + family.name, family.kind) for family in FAMILIES})

    def test_breakers(self) -> None:
        """0, 1, 2, as their states follow upon each other."""
        state = State()
        state.fleet = Fleet.of([replica("gpu0", health=Health(HealthSettings(), BreakerSettings(failures=1)))])
        health, labels = state.fleet.replicas[0].health, (("replica", "gpu0"),)
        values = []
        for step in ("", "fails", "waits", "succeeds"):
            if step == "fails":
                health.failed("it broke", 0.0, random.Random(1), broke=False)
            elif step == "waits":
                health.ejected(99.0)
            elif step == "succeeds":
                health.succeeded(99.0)
            values.append((health.breaker.state, self.exposed(state)["aibrix_gateway_breaker_state", labels]))
        closed, half_open, opened = (BreakerState.CLOSED, 0), (BreakerState.HALF_OPEN, 1), (BreakerState.OPEN, 2)
        self.assertEqual(values, [closed, opened, half_open, closed])

    def test_up(self) -> None:
        """What is ejected is up; what is drained, or down, is not."""
        state = State()
        health, labels = state.fleet.replicas[0].health, (("replica", "gpu0"),)
        for act, up in ((health.eject, 1), (health.drain, 0)):
            act(0.0, on=True)
            self.assertEqual(self.exposed(state)["aibrix_gateway_replica_up", labels], up)
            act(0.0, on=False)
            self.assertEqual(self.exposed(state)["aibrix_gateway_replica_up", labels], 1)

    def test_who_waits(self) -> None:
        """By model, now; and for how long those did that do no more, of those that had to."""
        state = State()
        self.assertEqual(self.exposed(state)["aibrix_gateway_requests_waiting", (("model", "m"),)], 2)
        for queued_s, model in ((0.0, "m"), (0.3, "m"), (7.0, "m"), (2.0, "")):
            exchange = an_exchange()
            exchange.queued_s, exchange.model = queued_s, model
            state.metrics.count(exchange)
        samples = self.exposed(state)
        self.assertEqual(samples["aibrix_gateway_queue_wait_seconds_count", (("model", "m"),)], 2)
        self.assertEqual(samples["aibrix_gateway_queue_wait_seconds_sum", (("model", "m"),)], 7.3)
        self.assertEqual(samples["aibrix_gateway_queue_wait_seconds_bucket", (("le", "0.5"), ("model", "m"))], 1)
        self.assertEqual(samples["aibrix_gateway_queue_wait_seconds_count", (("model", "other"),)], 1)

    def test_hedges(self) -> None:
        """Both outcomes from the start, at zero."""
        state = State()
        samples = self.exposed(state)
        for outcome in ("won", "lost"):
            self.assertEqual(samples["aibrix_gateway_hedges_total", (("outcome", outcome),)], 0)
        state.metrics.hedges["won"] += 1
        self.assertEqual(self.exposed(state)["aibrix_gateway_hedges_total", (("outcome", "won"),)], 1)

    def test_what_engines_say(self) -> None:
        """Each figure under its name, as long as it is fresh; what is not said is not there, and no zero."""
        state = State()
        load, labels = state.fleet.replicas[0].load, (("replica", "gpu0"),)
        figures = {
            "requests_running": 3.0, "requests_waiting": 0.0, "requests_unaccounted": 3.0, "kv_cache_usage_ratio": 0.25,
            "prompt_tokens_total": 10.0, "generation_tokens_total": 20.0, "preemptions_total": 1.0,
            "prefix_cache_queries_total": 8.0, "prefix_cache_hits_total": 4.0,
        }  # fmt: skip
        said = EngineLoad(
            at=state.now, running=3.0, waiting=0.0, kv_usage=0.25, prompt_tokens=10.0, generation_tokens=20.0,
            preemptions=1.0, prefix_cache_queries=8.0, prefix_cache_hits=4.0,
        )  # fmt: skip
        self.assertEqual(self.of_engines(state), {})
        load.read(said, 3.0)
        self.assertEqual(self.of_engines(state), {(name, labels): value for name, value in figures.items()})
        state.now += 3.0
        self.assertEqual(len(self.of_engines(state)), len(figures))
        state.now += 0.1
        self.assertEqual(self.of_engines(state), {})
        load.read(EngineLoad(at=state.now, running=0.0), 3.0)
        nothing = {("requests_running", labels): 0.0, ("requests_unaccounted", labels): 0.0}
        self.assertEqual(self.of_engines(state), nothing)

    def of_engines(self, state: State) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
        """Samples of the engines' own, without the beginning of their names."""
        prefix = "aibrix_gateway_engine_"
        samples = self.exposed(state)
        return {
            (name[len(prefix) :], labels): value for (name, labels), value in samples.items() if name.startswith(prefix)
        }

    def test_what_has_not_happened_is_zero(self) -> None:
        """Each type of error, each outcome of a reload: the first of them is an increase."""
        state = State()
        samples = self.exposed(state)
        for error in ("client_gone", "policy_unknown", "engine_broke", "gateway_internal"):
            self.assertEqual(samples["aibrix_gateway_errors_total", (("error_type", error),)], 0)
        state.metrics.reloads["refused",] += 1
        samples = self.exposed(state)
        self.assertEqual(samples["aibrix_gateway_config_reloads_total", (("outcome", "refused"),)], 1)
        self.assertEqual(samples["aibrix_gateway_config_reloads_total", (("outcome", "taken"),)], 0)

    def test_late_events_are_there_from_the_start(self) -> None:
        """At zero, so that a rate over them is one."""
        for event in ("head", "body", "end"):
            self.assertEqual(self.exposed(State())["aibrix_gateway_late_events_total", (("event", event),)], 0)

    def test_buckets_ascend(self) -> None:
        """vLLM's."""
        for bounds in (TTFT_S, ITL_S, DURATION_S, OWN_S):
            self.assertEqual(list(bounds), sorted(bounds))
        self.assertEqual((TTFT_S[0], TTFT_S[-1]), (0.001, 2560.0))
