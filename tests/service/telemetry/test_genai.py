"""OpenTelemetry's names: of the same stamps as ours, and there only where they are wanted."""

from __future__ import annotations

from prometheus_client.exposition import generate_latest
from prometheus_client.parser import text_string_to_metric_families
from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.domain.exchange import Exchange
from aibrix_twisted.service.telemetry.exposition import registry_of
from tests.service.telemetry.test_access_log import an_exchange
from tests.service.telemetry.test_metrics import State, an_attempt

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def a_stream(route: str = "chat_completions", error: str = "") -> Exchange:
    """One that is over: a quarter of a second from first to last, three tokens."""
    exchange = an_exchange()
    exchange.route, exchange.model, exchange.stream, exchange.attempts = route, "m", True, 1
    exchange.served, exchange.error = an_attempt(), error
    exchange.stamps.read, exchange.stamps.admitted, exchange.stamps.first_byte = 1.0, 1.0001, 1.0501
    exchange.input_tokens, exchange.output_tokens = 7, 3
    return exchange


class GenaiTests(SynchronousTestCase):
    """As Prometheus reads them."""

    def samples(self, state: State) -> Samples:
        """Those whose names are OpenTelemetry's, without the labels that all have, or that are empty."""
        text = generate_latest(registry_of(state)).decode()
        common = {"gen_ai_provider_name": "openai", "gen_ai_request_model": "m"}
        found: Samples = {}
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                if sample.name.startswith("gen_ai_"):
                    self.assertLessEqual(common.items(), sample.labels.items())
                    labels = {name: value for name, value in sample.labels.items() if value and name not in common}
                    found[sample.name.removeprefix("gen_ai_"), tuple(sorted(labels.items()))] = sample.value
        return found

    def test_off(self) -> None:
        """By default there are none, and what was counted is forgotten when they are turned off."""
        state = State()
        state.metrics.count(a_stream())
        self.assertEqual(self.samples(state), {})
        state.metrics.configure(genai=True)
        state.metrics.count(a_stream())
        self.assertNotEqual(self.samples(state), {})
        state.metrics.configure(genai=False)
        state.metrics.configure(genai=True)
        self.assertEqual(self.samples(state), {})

    def test_a_reload_keeps_them(self) -> None:
        """Turned on where they are on, they go on."""
        state = State()
        state.metrics.configure(genai=True)
        state.metrics.count(a_stream())
        before = self.samples(state)
        state.metrics.configure(genai=True)
        self.assertEqual(self.samples(state), before)

    def test_one_measurement(self) -> None:
        """Duration under both names, first token, time per token, tokens by type."""
        state = State()
        state.metrics.configure(genai=True)
        state.metrics.count(a_stream())
        samples = self.samples(state)
        chat = ("gen_ai_operation_name", "chat")
        for name in ("server_request_duration_seconds", "client_operation_duration_seconds"):
            self.assertEqual(samples[f"{name}_bucket", (chat, ("le", "0.16"))], 0)
            self.assertEqual(samples[f"{name}_bucket", (chat, ("le", "0.32"))], 1)
            self.assertAlmostEqual(samples[f"{name}_sum", (chat,)], 0.25)
        self.assertAlmostEqual(samples["server_time_to_first_token_seconds_sum", (chat,)], 0.0501)
        self.assertAlmostEqual(samples["server_time_per_output_token_seconds_sum", (chat,)], 0.1)
        usage = {
            kind: samples["client_token_usage_sum", (chat, ("gen_ai_token_type", kind))] for kind in ("input", "output")
        }
        self.assertEqual(usage, {"input": 7, "output": 3})

    def test_errors_are_apart(self) -> None:
        """Only a failure has an error's type."""
        state = State()
        state.metrics.configure(genai=True)
        state.metrics.count(a_stream())
        state.metrics.count(a_stream(error="engine_truncated"))
        samples = self.samples(state)
        chat, failed = ("gen_ai_operation_name", "chat"), ("error_type", "engine_truncated")
        self.assertEqual(samples["server_request_duration_seconds_count", (chat,)], 1)
        self.assertEqual(samples["server_request_duration_seconds_count", (failed, chat)], 1)

    def test_operations(self) -> None:
        """Several routes are one operation; one that the conventions do not know stands for itself."""
        state = State()
        state.metrics.configure(genai=True)
        for route in ("chat_completions", "responses", "messages", "completions", "embeddings", "rerank"):
            state.metrics.count(a_stream(route))
        counts = {
            labels[0][1]: value
            for (name, labels), value in self.samples(state).items()
            if name == "server_request_duration_seconds_count"
        }
        self.assertEqual(counts, {"chat": 3, "text_completion": 1, "embeddings": 1, "rerank": 1})

    def test_what_is_not_known_is_not_counted(self) -> None:
        """No tokens without usage; no first token of what is no stream; nothing where no replica was tried."""
        state = State()
        state.metrics.configure(genai=True)
        whole = a_stream()
        whole.stream, whole.input_tokens, whole.output_tokens = False, None, None
        refused = a_stream()
        refused.attempts = 0
        state.metrics.count(whole)
        state.metrics.count(refused)
        counts = {name: value for (name, _), value in self.samples(state).items() if name.endswith("_count")}
        self.assertEqual(
            counts,
            {
                "server_time_to_first_token_seconds_count": 0, "server_time_per_output_token_seconds_count": 0,
                "server_request_duration_seconds_count": 1, "client_operation_duration_seconds_count": 1,
                "client_token_usage_count": 0,
            },
        )  # fmt: skip
