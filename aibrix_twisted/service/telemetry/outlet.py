"""The way of spans to their receiver: OpenTelemetry's batches, in a thread of its own, over OTLP/HTTP.

The reactor's thread makes spans and hands them over.  How many may wait is bounded here and not by OpenTelemetry, so
that what is lost is counted.  The environment's C{OTEL_SERVICE_NAME}, C{OTEL_RESOURCE_ATTRIBUTES} and
C{OTEL_EXPORTER_OTLP_*} (headers, timeout, compression, certificates) are read by OpenTelemetry itself.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from aibrix_twisted import __version__

#: Spans that may wait: of some thousand exchanges.
MAX_WAITING: Final = 8192

#: A batch is made into bytes in one go, and the interpreter is not the reactor's meanwhile: a few milliseconds.
_BATCH: Final = 256
_DELAY_MS: Final = 1000.0
_UNUSED_TIMEOUT_MS: Final = 30000.0

#: Of OpenTelemetry's own messages, the last that nobody asked for yet.
_MAX_SAID: Final = 16


class Outlet:
    """To one receiver.

    @ivar resource: whose spans it sends.
    """

    def __init__(self, url: str, instance: str, told: Callable[[int, str], None]) -> None:
        """
        @param instance: tells this process from others that are called the same.
        @param told: of each batch that is over, in a thread of ours: how many spans; why they were lost, or C{""}.
        """
        self._handed = 0
        self._said = _listen()
        self.resource = resource_of(instance)
        self._exporter = _Told(OTLPSpanExporter(url), told, self._said)
        self._processor = BatchSpanProcessor(
            self._exporter, MAX_WAITING, _DELAY_MS, _BATCH, export_timeout_millis=_UNUSED_TIMEOUT_MS
        )

    def complaints(self) -> list[str]:
        """What OpenTelemetry found wrong with its environment."""
        return self._said.taken()

    def put(self, spans: Sequence[ReadableSpan]) -> bool:
        """Send them, sooner or later.

        @return: whether there was room for them.
        """
        handed = self._handed + len(spans)
        if handed - self._exporter.taken > MAX_WAITING:
            return False
        self._handed = handed
        for span in spans:
            self._processor.on_end(span)
        return True

    def close(self) -> None:
        """Send what waits, and end the thread.  Blocks for as long as that takes: not for the reactor's thread."""
        self._processor.shutdown()

    def give_up(self) -> None:
        """Send no more, also where C{close} is at it."""
        self._exporter.shutdown()


class _Told(SpanExporter):
    """Tells what became of each batch.

    @ivar taken: spans that do not wait any more.
    """

    def __init__(self, exporter: OTLPSpanExporter, told: Callable[[int, str], None], said: _Said) -> None:
        self.taken = 0
        self._exporter = exporter
        self._told = told
        self._said = said
        self._closed = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """In the thread.  Blocks until the receiver has them, or has failed to take them for long enough."""
        self.taken += len(spans)
        self._said.taken()
        result = self._exporter.export(spans)
        said = self._said.taken()
        lost = "" if result is SpanExportResult.SUCCESS else (said[0] if said else "no reason was given")
        self._told(len(spans), lost)
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


def resource_of(instance: str) -> Resource:
    """Whose spans they are; what the environment says of that wins."""
    ours = {
        "service.name": "aibrix-gateway",
        "service.version": __version__,
        "service.instance.id": instance,
    }
    return Resource.create(ours | dict(OTELResourceDetector().detect().attributes))
