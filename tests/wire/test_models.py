"""Lists of models, as engines and clients spell them."""

from __future__ import annotations

import orjson
from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.wire.models import NoModelList, engine_of, entries_of, model_entry, model_list, plain_entry


class ModelsTests(SynchronousTestCase):
    """Read from engines, written for clients."""

    def test_engines_own_lists(self) -> None:
        """Extra members are kept; a llama-server's second list is not needed; an empty one is one."""
        body = b'{"object":"list","models":[{"name":"x"}],"data":[{"id":"m","owned_by":"llamacpp","meta":{"n":1}},{"no":"id"},5]}'
        entries = entries_of(body)
        self.assertEqual(entries, [{"id": "m", "owned_by": "llamacpp", "meta": {"n": 1}}])
        self.assertEqual(engine_of(entries), "llamacpp")
        self.assertEqual(entries_of(b'{"object":"list","data":[]}'), [])
        self.assertEqual(engine_of([]), "openai")
        self.assertEqual(engine_of([{"id": "m", "owned_by": "vllm"}]), "vllm")

    def test_what_is_no_list(self) -> None:
        """Refused, never raised over otherwise."""
        for body in (b"", b"<html>", b"[]", b"{}", b'{"data":{}}', b"null"):
            self.assertRaises(NoModelList, entries_of, body)

    def test_for_clients(self) -> None:
        """OpenAI's shapes."""
        entry = plain_entry("m")
        self.assertEqual(orjson.loads(model_list([entry])), {"object": "list", "data": [entry]})
        self.assertEqual(orjson.loads(model_entry(entry))["object"], "model")
