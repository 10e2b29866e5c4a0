"""C{session-affinity}, with AIBrix's cases (alg/simple_session_affinity_test.go)."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.policy.ask import Ask
from aibrix_twisted.policy.session_affinity import SessionAffinity
from tests.policy.fleet import NOW, fleet, names

POLICY = SessionAffinity()


class SessionTests(SynchronousTestCase):
    """Three replicas, named as AIBrix names them."""

    def setUp(self) -> None:
        self.replicas = fleet(3)
        for number, replica in enumerate(self.replicas, 1):
            replica.name = f"10.0.0.{number}:8000"

    def test_whose_it_is(self) -> None:
        """The session's own; else the key's; else anyone's.  The session counts before the key."""
        everyone = {replica.name for replica in self.replicas}
        for ask, chosen in (
            (Ask(session="10.0.0.2:8000"), {"10.0.0.2:8000"}),
            (Ask(session="10.0.0.2:8000", session_key=b"abc"), {"10.0.0.2:8000"}),
            (Ask(session="10.9.9.9:8000", session_key=b"abc"), {"10.0.0.3:8000"}),
            (Ask(session_key=b"agent-session-42"), {"10.0.0.3:8000"}),
            (Ask(session="10.9.9.9:8000"), everyone),
            (Ask(), everyone),
        ):
            self.assertEqual(names(POLICY, self.replicas, ask), chosen, ask)
            if len(chosen) == 1:
                self.assertEqual(names(POLICY, self.replicas[::-1], ask), chosen, "in another order")

    def test_scores(self) -> None:
        """One for the session's own, nothing for the others; without a session all are alike."""
        self.assertEqual(POLICY.scores(self.replicas, Ask(session="10.0.0.2:8000"), NOW), [0.0, 1.0, 0.0])
        self.assertEqual(POLICY.scores(self.replicas, Ask(), NOW), [0.0, 0.0, 0.0])
