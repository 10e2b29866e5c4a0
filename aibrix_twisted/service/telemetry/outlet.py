"""The way of spans to their receiver: OpenTelemetry's batches, in a thread of its own, over OTLP/HTTP.

The reactor's thread hands over exchanges that are over, in which nothing changes any more; spans are made of them in
that thread.  How many may wait is bounded here and not by OpenTelemetry, so that what is lost is counted.  The
environment's C{OTEL_SERVICE_NAME}, C{OTEL_RESOURCE_ATTRIBUTES} and C{OTEL_EXPORTER_OTLP_*} (headers, timeout,
compression, certificates) are read by OpenTelemetry itself.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import SpanContext, TraceFlags

from aibrix_twisted import __version__
from aibrix_twisted.domain.exchange import Exchange
from aibrix_twisted.service.telemetry.spans import SpanMaker, count_of

#: Exchanges that may wait.
MAX_WAITING: Final = 4096

#: Exchanges in a batch.  It is made into bytes in one go, and the interpreter is not the reactor's meanwhile: a few
#: milliseconds.
_BATCH: Final = 64
_DELAY_MS: Final = 1000.0
_UNUSED_TIMEOUT_MS: Final = 30000.0

#: Of OpenTelemetry's own messages, the last that nobody asked for yet.
_MAX_SAID: Final = 16


class Outlet:
    """To one receiver."""

    def __init__(self, url: str, instance: str, new_id: Callable[[], int], told: Callable[[int, str], None]) -> None:
        """
        @param instance: tells this process from others that are called the same.
        @param new_id: of a span.
        @param told: of each batch that is over, in a thread of ours: how many spans; why they were lost, or C{""}.
        """
        self._handed = 0
        self._said = _listen()
        maker = SpanMaker(resource_of(instance), new_id)
        self._exporter = _Told(OTLPSpanExporter(url), maker, told, self._said)
        self._processor: Any = BatchSpanProcessor(
            self._exporter, MAX_WAITING, _DELAY_MS, _BATCH, export_timeout_millis=_UNUSED_TIMEOUT_MS
        )

    def complaints(self) -> list[str]:
        """What OpenTelemetry found wrong with its environment."""
        return self._said.taken()

    def put(self, exchange: Exchange, ended_ns: int) -> bool:
        """Send its spans, sooner or later.

        @param ended_ns: when it was over, in nanoseconds since 1970.
        @return: whether there was room for it.
        """
        if self._handed - self._exporter.taken >= MAX_WAITING:
            return False
        self._handed += 1
        self._processor.on_end(_Over(exchange, ended_ns))
        return True

    def close(self) -> None:
        """Send what waits, and end the thread.  Blocks for as long as that takes: not for the reactor's thread."""
        self._processor.shutdown()

    def give_up(self) -> None:
        """Send no more, also where C{close} is at it."""
        self._exporter.shutdown()


class _Over:
    """An exchange on its way: a span, as far as OpenTelemetry's queue looks at it."""

    __slots__ = ("ended_ns", "exchange")

    #: All that the queue asks: whether to keep it.
    context: Final = SpanContext(1, 1, False, TraceFlags(TraceFlags.SAMPLED))

    def __init__(self, exchange: Exchange, ended_ns: int) -> None:
        self.exchange = exchange
        self.ended_ns = ended_ns


class _Told(SpanExporter):
    """Makes the spans of each batch, and tells what became of them.

    @ivar taken: exchanges that do not wait any more.
    """

    def __init__(
        self, exporter: OTLPSpanExporter, maker: SpanMaker, told: Callable[[int, str], None], said: _Said
    ) -> None:
        self.taken = 0
        self._exporter = exporter
        self._maker = maker
        self._told = told
        self._said = said
        self._closed = False

    def export(self, batch: Sequence[Any]) -> SpanExportResult:
        """In the thread.  Blocks until the receiver has them, or has failed to take them for long enough."""
        self.taken += len(batch)
        self._said.taken()
        lost = "they could not be made, which is a defect"
        try:
            spans: list[ReadableSpan] = []
            for over in batch:
                spans += self._maker.spans(over.exchange, over.ended_ns)
            result = self._exporter.export(spans)
            said = self._said.taken()
            lost = "" if result is SpanExportResult.SUCCESS else (said[0] if said else "no reason was given")
        finally:
            self._told(sum(count_of(over.exchange) for over in batch), lost)
        return result

    def shutdown(self) -> None:
        """Once."""
        if not self._closed:
            self._closed = True
            self._exporter.shutdown()


class _Said(logging.Handler):
    """Keeps OpenTelemetry's messages from going to the standard error, one or more for each batch that fails."""

    def __init__(self) -> None:
        super().__init__()
        self._messages: deque[str] = deque(maxlen=_MAX_SAID)

    def emit(self, record: logging.LogRecord) -> None:
        """Remember it."""
        self._messages.append(record.getMessage())

    def taken(self) -> list[str]:
        """Those since this was last asked, oldest first."""
        said = list(self._messages)
        self._messages.clear()
        return said


_SAID: Final = _Said()


def _listen() -> _Said:
    logger = logging.getLogger("opentelemetry")
    logger.addHandler(_SAID)
    logger.propagate = False
    return _SAID


class _Resource(Resource):
    """One that is the same as itself only: OpenTelemetry compares them by their JSON, once for each span."""

    __hash__ = object.__hash__
    __eq__ = object.__eq__


def resource_of(instance: str) -> Resource:
    """Whose spans they are; what the environment says of that wins."""
    ours = {
        "service.name": "aibrix-gateway",
        "service.version": __version__,
        "service.instance.id": instance,
    }
    found = Resource.create(ours | dict(OTELResourceDetector().detect().attributes))
    return _Resource(found.attributes, found.schema_url)
