"""Who a certificate says that its owner is."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.service.tls.identity import MAX_CHARACTERS, identity_of
from tests.authority import Authority
from tests.service.tls.peer import folder_of


class IdentityTests(SynchronousTestCase):
    """Over what there may be in it."""

    def test_each(self) -> None:
        """The one URI, else the subject, else another name, else the fingerprint; no longer than it may be."""
        authority = Authority(folder_of(self))
        spiffe = "spiffe://example.org/team/a"
        for issued, identity in (
            (authority.issue("a.example", subject="alice", uris=(spiffe,)), spiffe),
            (authority.issue(subject="alice", uris=(spiffe, "urn:b")), "CN=alice"),
            (authority.issue("a.example", subject="alice"), "CN=alice"),
            (authority.issue("a.example", "b.example"), "a.example"),
            (authority.issue(subject="a,b=c+d\n"), "CN=a\\,b=c\\+d\N{REPLACEMENT CHARACTER}"),
            (authority.issue(uris=("urn:" + "x" * 400,)), ("urn:" + "x" * 400)[:MAX_CHARACTERS]),
        ):
            self.assertEqual(identity_of(issued.certificate), identity)
        self.assertRegex(identity_of(authority.issue().certificate), r"\Asha256:[0-9a-f]{64}\Z")
