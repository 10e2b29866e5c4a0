"""Why TLS failed, for people."""

from __future__ import annotations

from typing import Any

from OpenSSL import SSL
from OpenSSL.crypto import X509
from twisted.internet.error import ConnectionLost
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.service.tls.failed import TlsFailed, say_why, why
from tests.authority import Authority
from tests.service.tls.peer import folder_of


class Told:
    """In the place of a transport."""

    def failVerification(self, reason: Failure) -> None:
        self.why = reason.getErrorMessage()

    def get_app_data(self) -> Told:
        return self


class SayWhyTests(SynchronousTestCase):
    """For OpenSSL, which would only say that verification failed."""

    def said(self, certificate: Any, number: int, depth: int = 0) -> str:
        """The reason."""
        told: Any = Told()
        self.assertFalse(say_why(told, certificate, number, depth, 0))
        return str(told.why)

    def test_each(self) -> None:
        """Which certificate, how far from the other side's own, and what is wrong; nothing where all is well."""
        code = SSL.X509VerificationCodes
        authority = Authority(folder_of(self))
        shown = X509.from_cryptography(authority.issue(subject="x\x1b[2J\n").certificate)
        nameless = X509.from_cryptography(authority.issue().certificate)
        hidden = "CN=x\N{REPLACEMENT CHARACTER}[2J\N{REPLACEMENT CHARACTER}"
        for certificate, number, depth, expected in (
            (shown, code.ERR_CERT_HAS_EXPIRED, 0, f"{hidden}: it has expired"),
            (shown, code.ERR_CERT_REVOKED, 1, f"{hidden}, 1 above its own: cert revoked"),
            (nameless, 9999, 0, "a certificate without a subject: error 9999"),
            (_Unreadable(), code.ERR_CERT_HAS_EXPIRED, 0, "a certificate that cannot be read: it has expired"),
        ):
            self.assertEqual(self.said(certificate, number, depth), f"certificate verify failed: {expected}")
        untouched: Any = None
        self.assertTrue(say_why(untouched, untouched, 0, 0, 1))


class _Unreadable:
    """OpenSSL has read it, and C{cryptography} does not."""

    def to_cryptography(self) -> Any:
        raise ValueError("error parsing asn1 value")


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
