"""The paths that are relayed."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.wire.routes import ROUTES


class RoutesTests(SynchronousTestCase):
    """The contract's list."""

    def test_all_paths_of_the_contract(self) -> None:
        """Each once, by its own path."""
        expected = (
            "/v1/chat/completions /v1/completions /v1/embeddings /v1/responses /v1/messages /v1/rerank /v1/score "
            "/v1/classify /v1/tokenize /tokenize /detokenize /pooling /v1/audio/transcriptions /v1/audio/translations "
            "/v1/audio/speech /v1/images/generations /v1/images/edits /generate"
        ).split()
        self.assertEqual(sorted(ROUTES), sorted(path.encode() for path in expected))
        for path, route in ROUTES.items():
            self.assertEqual(route.path, path)
