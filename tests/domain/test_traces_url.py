"""Where spans are sent to."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.domain.traces_url import traces_url


class TracesUrlTests(SynchronousTestCase):
    """Made whole, or refused with what was expected."""

    def test_good(self) -> None:
        """Without a path, it is the one that receivers have by default; with one, it is that."""
        for text, url in {
            "http://127.0.0.1:4318": "http://127.0.0.1:4318/v1/traces",
            "http://collector": "http://collector/v1/traces",
            "http://collector:4318/": "http://collector:4318/v1/traces",
            "https://[2001:db8::1]:4318": "https://[2001:db8::1]:4318/v1/traces",
            "https://otlp.example.org/otlp/v1/traces": "https://otlp.example.org/otlp/v1/traces",
            "http://collector:4318/v1/traces": "http://collector:4318/v1/traces",
        }.items():
            self.assertEqual(traces_url(text), url)

    def test_bad(self) -> None:
        """Each says what would have been right."""
        for text, expected in {
            "": "begins with http:// or https://",
            "collector:4318": "begins with http:// or https://",
            "grpc://collector:4317": "begins with http:// or https://",
            "http://": "a host name or an address",
            "http://a b": "a host name or an address",
            "http://a:99999": "expected http://host:port",
            "http://a:b": "expected http://host:port",
            "http://[::1": "expected http://host:port",
            "http://me:secret@a": "OTEL_EXPORTER_OTLP_HEADERS",
            "http://a/?x=1": "no query or fragment",
            "http://a/#x": "no query or fragment",
            "http://a/b c": "a path of URL characters",
        }.items():
            error = self.assertRaises(ValueError, traces_url, text)
            self.assertIn(expected, str(error), text)

    @given(st.text(max_size=40) | st.text(max_size=30).map("http://".__add__))
    def test_whatever_is_written(self, text: str) -> None:
        """It is taken, and has a path; or it is a C{ValueError}."""
        try:
            url = traces_url(text)
        except ValueError as error:
            self.assertIn("expected", str(error))
        else:
            self.assertRegex(url, r"\Ahttps?://[^/]+/.*\Z")
