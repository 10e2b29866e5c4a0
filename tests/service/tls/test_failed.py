"""Why TLS failed, for people."""

from __future__ import annotations

from OpenSSL import SSL
from twisted.internet.error import ConnectionLost
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.service.tls.failed import TlsFailed, why


class WhyTests(SynchronousTestCase):
    """One line, whatever it was."""

    def test_each(self) -> None:
        """OpenSSL's reasons once each, with what they mean most often; what we say ourselves; anything else."""
        for error, expected in (
            (SSL.Error([("SSL routines", "", "wrong version number")]),
             "wrong version number (what is there does not speak TLS)"),
            (SSL.Error([("a", "", "no shared cipher"), ("a", "", "no shared cipher"), ("a", "", "x")]), "no shared cipher, x"),
            (SSL.Error([]), "it was broken off"),
            (SSL.Error(), "it was broken off"),
            (SSL.SysCallError(-1, "Unexpected EOF"), "it was broken off"),
            (TlsFailed("its own word"), "its own word"),
            (ConnectionLost("gone"), ConnectionLost("gone").__str__()),
        ):  # fmt: skip
            self.assertEqual(why(Failure(error)), expected)
