"""The way of spans, with OpenTelemetry's own thread and a receiver that decodes; no reactor, and nobody waits by time."""

from __future__ import annotations

import itertools
import logging
import os

from opentelemetry.sdk.trace.export import BatchSpanProcessor
from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted import __version__
from aibrix_twisted.service.telemetry import outlet
from aibrix_twisted.service.telemetry.outlet import Outlet, resource_of
from tests.otlp import Receiver
from tests.service.telemetry.test_spans import an_exchange, record

NOW_NS = 1_700_000_000_000_000_000


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
        ids = itertools.count(1)
        made = Outlet(
            url or self.receiver.url + "/v1/traces",
            "i1",
            lambda: next(ids),
            lambda count, why: self.told.append((count, why)),
        )
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
        for _ in range(100):
            self.assertTrue(made.put(an_exchange(record()), NOW_NS))
        made.close()
        self.assertEqual(len(self.receiver.spans), 300)
        self.assertEqual(sum(count for count, _ in self.told), 300)
        self.assertEqual({span.end_time_unix_nano for span in self.receiver.spans if span.name == "chat m"}, {NOW_NS})
        self.assertEqual({why for _, why in self.told}, {""})
        self.assertGreater(len(self.receiver.requests), 1)
        for path, headers, _ in self.receiver.requests:
            self.assertEqual((path, headers["content-type"]), ("/v1/traces", "application/x-protobuf"))

    def test_bound(self) -> None:
        """What finds no room is refused, and OpenTelemetry's queue never has to throw anything away."""
        self.patch(outlet, "MAX_WAITING", 4)
        self.patch(outlet, "_BATCH", 4)
        made = self.outlet()
        held: list[object] = []
        self.patch(BatchSpanProcessor, "on_end", lambda processor, span: held.append(span))
        self.assertEqual([made.put(an_exchange(), NOW_NS) for _ in range(6)], [True] * 4 + [False] * 2)
        self.assertEqual(len(held), 4)

    def test_a_receiver_that_refuses(self) -> None:
        """How many are lost is told, and why."""
        self.receiver.status = 400
        made = self.outlet()
        made.put(an_exchange(record()), NOW_NS)
        made.close()
        ((count, why),) = self.told
        self.assertEqual(count, 3)
        self.assertIn("400", why)
        self.assertEqual(self.receiver.spans, [])

    def test_a_defect_of_ours(self) -> None:
        """Spans that cannot be made are counted as lost, and said to be."""
        made = self.outlet()
        odd = an_exchange(record())
        odd.stamps.ended = None
        made.put(odd, NOW_NS)
        made.close()
        self.assertEqual(self.told, [(3, "they could not be made, which is a defect")])

    def test_given_up(self) -> None:
        """Nothing is sent any more, whoever still tries, and nobody waits for that; a second time is once."""
        made = self.outlet("http://127.0.0.1:9/v1/traces")
        made.give_up()
        made.put(an_exchange(record()), NOW_NS)
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

    def test_one_resource(self) -> None:
        """Stands once in each message, however many spans are its."""
        made = self.outlet()
        for _ in range(3):
            made.put(an_exchange(record()), NOW_NS)
        made.close()
        for _, _, message in self.receiver.requests:
            self.assertEqual((len(message.resource_spans), len(message.resource_spans[0].scope_spans)), (1, 1))

    def test_headers_and_compression(self) -> None:
        """Are on the wire."""
        self.environment(
            OTEL_EXPORTER_OTLP_HEADERS="x-key=abc", OTEL_EXPORTER_OTLP_COMPRESSION="gzip", OTEL_SERVICE_NAME="edge"
        )
        made = self.outlet()
        made.put(an_exchange(record()), NOW_NS)
        made.close()
        ((_, headers, _),) = self.receiver.requests
        self.assertEqual((headers["x-key"], headers["content-encoding"]), ("abc", "gzip"))
        self.assertEqual(self.receiver.resource["service.name"], "edge")

    def test_complaints(self) -> None:
        """What is wrong with them is there to be said."""
        self.environment(OTEL_EXPORTER_OTLP_TIMEOUT="soon")
        (complaint,) = self.outlet().complaints()
        self.assertIn("'soon'", complaint)
