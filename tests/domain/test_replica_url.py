"""Replica URLs."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.domain.replica_url import ReplicaUrl, parse_replica_url


class ReplicaUrlTests(SynchronousTestCase):
    """Taken apart, or refused with what was expected."""

    def test_good_ones(self) -> None:
        """Host, port, prefix."""
        self.assertEqual(parse_replica_url("http://gpu0:8000"), ReplicaUrl("gpu0", 8000, ""))
        self.assertEqual(parse_replica_url("http://gpu0"), ReplicaUrl("gpu0", 80, ""))
        self.assertEqual(parse_replica_url("http://10.0.0.5:8000/llm/v2/"), ReplicaUrl("10.0.0.5", 8000, "/llm/v2"))
        self.assertEqual(parse_replica_url("http://[::1]:8000/").authority, "[::1]:8000")
        self.assertEqual(parse_replica_url("https://gpu0/llm"), ReplicaUrl("gpu0", 443, "/llm", secure=True))
        self.assertEqual(parse_replica_url("https://gpu0:8443"), ReplicaUrl("gpu0", 8443, "", secure=True))

    def test_bad_ones(self) -> None:
        """Each says what would have been right."""
        for text, expected in {
            "ftp://a": "begins with http:// or https://",
            "http://": "a host name or an address",
            "http://a:99999": "expected http://host:port",
            "http://u@a": "no user, query or fragment",
            "http://a?b": "no user, query or fragment",
            "http://a?": "no user, query or fragment",
            "http://a#": "no user, query or fragment",
            "http://a b/": "visible ASCII characters",
            "http://a/\r\nx": "visible ASCII characters",
            "\thttp://a": "visible ASCII characters",
            "http://\u00e9": "visible ASCII characters",
            "http://a_\\": "a host name or an address",
        }.items():
            error = self.assertRaises(ValueError, parse_replica_url, text)
            self.assertIn(expected, str(error), text)
