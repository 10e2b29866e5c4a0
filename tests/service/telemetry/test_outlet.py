"""The way of spans, with OpenTelemetry's own thread and a receiver that decodes; no reactor, and nobody waits by time."""

from __future__ import annotations

import logging
import os

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanContext, TraceFlags, TraceState
from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted import __version__
from aibrix_twisted.service.telemetry import outlet
from aibrix_twisted.service.telemetry.outlet import Outlet, resource_of
from tests.otlp import Receiver


def spans(count: int, resource: Resource) -> list[ReadableSpan]:
    """So many, in one trace."""
    return [
        ReadableSpan(
            f"span {number}",
            SpanContext(1, number + 1, False, TraceFlags(1), TraceState()),
            resource=resource,
            start_time=1,
            end_time=2,
        )
        for number in range(count)
    ]


class OutletTestCase(SynchronousTestCase):
    """With a receiver, and an environment of its own."""

    def setUp(self) -> None:
        theirs = {name: os.environ.pop(name) for name in tuple(os.environ) if name.startswith("OTEL_")}
        self.addCleanup(os.environ.update, theirs)
        self.receiver = Receiver()
        self.addCleanup(self.receiver.close)
        self.told: list[tuple[int, str]] = []

    def outlet(self, url: str = "") -> Outlet:
        """To the receiver, or elsewhere."""
        made = Outlet(url or self.receiver.url + "/v1/traces", "i1", lambda count, why: self.told.append((count, why)))
        self.addCleanup(made.give_up)
        return made

    def environment(self, **variables: str) -> None:
        """These, too."""
        for name, value in variables.items():
            os.environ[name] = value
            self.addCleanup(os.environ.pop, name)


class SendingTests(OutletTestCase):
    """What is put in comes out."""

    def test_all_of_it(self) -> None:
        """Once, in batches of a bounded size; whoever closes waits until it is there."""
        made = self.outlet()
        for _ in range(10):
            self.assertTrue(made.put(spans(30, made.resource)))
        made.close()
        self.assertEqual(len(self.receiver.spans), 300)
        self.assertEqual(sum(count for count, _ in self.told), 300)
        self.assertEqual({why for _, why in self.told}, {""})
        self.assertGreater(len(self.receiver.requests), 1)
        for path, headers, _ in self.receiver.requests:
            self.assertEqual((path, headers["content-type"]), ("/v1/traces", "application/x-protobuf"))

    def test_bound(self) -> None:
        """What finds no room is refused whole, and the rest is not lost for it."""
        self.patch(outlet, "MAX_WAITING", 4)
        self.patch(outlet, "_BATCH", 4)
        self.patch(outlet, "_DELAY_MS", 3_600_000.0)
        made = self.outlet()
        self.assertTrue(made.put(spans(3, made.resource)))
        self.assertFalse(made.put(spans(2, made.resource)))
        made.close()
        self.assertEqual([span.name for span in self.receiver.spans], ["span 0", "span 1", "span 2"])
        self.assertEqual(self.told, [(3, "")])

    def test_a_receiver_that_refuses(self) -> None:
        """How many are lost is told, and why."""
        self.receiver.status = 400
        made = self.outlet()
        made.put(spans(3, made.resource))
        made.close()
        ((count, why),) = self.told
        self.assertEqual(count, 3)
        self.assertIn("400", why)
        self.assertEqual(self.receiver.spans, [])

    def test_given_up(self) -> None:
        """Nothing is sent any more, whoever still tries, and nobody waits for that; a second time is once."""
        made = self.outlet("http://127.0.0.1:9/v1/traces")
        made.give_up()
        made.put(spans(3, made.resource))
        made.close()
        made.give_up()
        ((count, why),) = self.told
        self.assertEqual(count, 3)
        self.assertTrue(why)

    def test_nothing_on_standard_error(self) -> None:
        """OpenTelemetry's messages stop here; the last are kept, and no more than that."""
        heard: list[logging.LogRecord] = []

        class Root(logging.Handler):
            def emit(self, record: logging.LogRecord) -> None:
                heard.append(record)

        root = Root()
        logging.getLogger().addHandler(root)
        self.addCleanup(logging.getLogger().removeHandler, root)
        made = self.outlet()
        self.assertEqual(made.complaints(), [])
        logger = logging.getLogger("opentelemetry.sdk.x")
        for number in range(40):
            logger.warning("number %d", number)
        self.assertEqual(heard, [])
        self.assertEqual(made.complaints(), [f"number {number}" for number in range(24, 40)])
        self.assertEqual(made.complaints(), [])


class EnvironmentTests(OutletTestCase):
    """OpenTelemetry's variables work here as everywhere."""

    def test_resource(self) -> None:
        """Ours, where the environment says nothing else."""
        found = resource_of("i1").attributes
        self.assertEqual(
            [found[name] for name in ("service.name", "service.version", "service.instance.id")],
            ["aibrix-gateway", __version__, "i1"],
        )
        self.environment(OTEL_RESOURCE_ATTRIBUTES="service.name=a,service.instance.id=pod-7,rack=r1")
        found = resource_of("i1").attributes
        self.assertEqual(
            [found[name] for name in ("service.name", "service.instance.id", "rack")], ["a", "pod-7", "r1"]
        )
        self.environment(OTEL_SERVICE_NAME="edge")
        self.assertEqual(resource_of("i1").attributes["service.name"], "edge")

    def test_headers_and_compression(self) -> None:
        """Are on the wire."""
        self.environment(
            OTEL_EXPORTER_OTLP_HEADERS="x-key=abc", OTEL_EXPORTER_OTLP_COMPRESSION="gzip", OTEL_SERVICE_NAME="edge"
        )
        made = self.outlet()
        made.put(spans(1, made.resource))
        made.close()
        ((_, headers, _),) = self.receiver.requests
        self.assertEqual((headers["x-key"], headers["content-encoding"]), ("abc", "gzip"))
        self.assertEqual(self.receiver.resource["service.name"], "edge")

    def test_complaints(self) -> None:
        """What is wrong with them is there to be said."""
        self.environment(OTEL_EXPORTER_OTLP_TIMEOUT="soon")
        (complaint,) = self.outlet().complaints()
        self.assertIn("'soon'", complaint)
