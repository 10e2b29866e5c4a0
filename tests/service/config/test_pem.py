"""Certificates and keys: read, held together, and every fault named."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.service.config.pem import PemFault, check_authorities, read_credentials
from tests.authority import Authority
from tests.service.tls.peer import folder_of


class PemTests(SynchronousTestCase):
    """Files."""

    def setUp(self) -> None:
        self.folder = folder_of(self)
        self.authority = Authority(self.folder)
        self.issued = self.authority.issue("a.example")

    def refused(self, key: str, expected: str, cert: str, private: str, chain: str = "") -> None:
        """Said under the setting that names the file, with the file's path."""
        fault = self.assertRaises(PemFault, read_credentials, cert, private, chain)
        self.assertEqual(fault.key, key)
        self.assertIn(expected, str(fault))
        self.assertIn({"cert": cert, "key": private, "chain": chain}[key], str(fault))

    def file(self, name: str, content: bytes) -> str:
        """A file in the test's folder."""
        path = self.folder / name
        path.write_bytes(content)
        return str(path)

    def test_good_ones(self) -> None:
        """The certificate, and what leads to its authority, whether it is in the same file or not."""
        between = Authority(self.folder, "Between", self.authority)
        whole, alone = between.issue("b.example"), between.issue("b.example", whole=False)
        self.assertEqual(len(read_credentials(whole.cert, whole.key).chain), 2)
        self.assertEqual(len(read_credentials(alone.cert, alone.key).chain), 1)
        self.assertEqual(len(read_credentials(alone.cert, alone.key, between.path).chain), 2)
        self.assertEqual(read_credentials(whole.cert, whole.key).leaf, whole.certificate)
        both = self.file("both.pem", Path(self.issued.key).read_bytes() + Path(self.issued.cert).read_bytes())
        self.assertEqual(read_credentials(both, both).leaf, self.issued.certificate)

    def test_bad_ones(self) -> None:
        """Each fault under its setting."""
        cert, key = self.issued.cert, self.issued.key
        other = self.authority.issue("c.example")
        weak = self.authority.issue("weak.example", weak=True)
        locked = self.file(
            "locked.key",
            self.issued.private.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.BestAvailableEncryption(b"secret"),
            ),
        )
        broken = self.file("broken.pem", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
        turned = self.file("turned.pem", Path(other.cert).read_bytes() + Path(cert).read_bytes())
        for fault, expected, files in (
            ("cert", "a file that can be read (No such file", (str(self.folder / "none.pem"), key)),
            ("cert", "a file that can be read (Is a directory", (str(self.folder), key)),
            ("cert", "expected certificates in PEM", (key, key)),
            ("cert", "expected certificates in PEM", (broken, key)),
            ("cert", "expected certificates in PEM", (self.file("empty.pem", b""), key)),
            ("cert", "OpenSSL does not take", (weak.cert, weak.key)),
            ("cert", "own certificate to be the first", (turned, key)),
            ("key", "a file that can be read (No such file", (cert, str(self.folder / "none.key"))),
            ("key", "expected a private key in PEM", (cert, cert)),
            ("key", "has a passphrase", (cert, locked)),
            ("key", "is not the key of the certificate in", (cert, other.key)),
            ("chain", "expected certificates in PEM", (cert, key, key)),
        ):
            self.refused(fault, expected, *files)

    def test_doubts(self) -> None:
        """What does not keep it from being used."""
        now = datetime.now(UTC)
        between = Authority(self.folder, "Elsewhere", self.authority)
        for issued, expected in (
            (self.issued, []),
            (self.authority.issue("a.example", days=(-9, -2)), ["has expired on"]),
            (self.authority.issue("a.example", days=(2, 9)), ["is not valid before"]),
        ):
            doubts = read_credentials(issued.cert, issued.key).doubts(now)
            self.assertEqual(len(doubts), len(expected))
            for said, part in zip(doubts, expected, strict=True):
                self.assertIn(part, said)
                self.assertIn(issued.cert, said)
        (said,) = read_credentials(self.issued.cert, self.issued.key, between.path).doubts(now)
        self.assertIn("is issued by CN=Test Authority, and the one after it is CN=Elsewhere", said)
        over = read_credentials(self.issued.cert, self.issued.key)
        self.assertFalse(over.is_over(now))
        self.assertTrue(over.is_over(now + timedelta(days=31)))

    def test_authorities(self) -> None:
        """A file of them, or the fault under the setting that was asked about."""
        check_authorities("ca", self.authority.path)
        for path in (self.issued.key, "/nonexistent"):
            fault = self.assertRaises(PemFault, check_authorities, "client_ca", path)
            self.assertEqual(fault.key, "client_ca")
            self.assertIn(path, str(fault))
