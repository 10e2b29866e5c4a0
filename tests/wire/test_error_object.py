"""OpenAI's error object."""

from __future__ import annotations

import orjson
from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.wire.error_object import error_body, error_event, type_of


class ErrorObjectTests(SynchronousTestCase):
    """As the contract has it."""

    def test_types_by_status(self) -> None:
        """The whole list."""
        for status, kind in (
            (400, "invalid_request_error"), (404, "invalid_request_error"), (405, "invalid_request_error"),
            (413, "invalid_request_error"), (415, "invalid_request_error"), (431, "invalid_request_error"),
            (401, "authentication_error"), (403, "permission_error"), (429, "rate_limit_error"),
            (503, "overloaded_error"), (500, "api_error"), (502, "api_error"), (504, "api_error"),
        ):  # fmt: skip
            self.assertEqual(type_of(status), kind)

    def test_document_and_event(self) -> None:
        """The same object, alone or as an event."""
        body = error_body('say "hi"\n', 404, "model", "model_not_found")
        error = orjson.loads(body)["error"]
        self.assertEqual(
            error,
            {"message": 'say "hi"\n', "type": "invalid_request_error", "param": "model", "code": "model_not_found"},
        )
        self.assertEqual(error_event('say "hi"\n', 404, "model", "model_not_found"), b"data: " + body + b"\n\n")
