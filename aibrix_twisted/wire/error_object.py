"""OpenAI's error object, as the gateway says it."""

from __future__ import annotations

from typing import Final

import orjson

from aibrix_twisted.wire.sse import encode_event

_TYPES: Final[dict[int, str]] = {
    401: "authentication_error",
    403: "permission_error",
    429: "rate_limit_error",
    503: "overloaded_error",
}


def type_of(status: int) -> str:
    """The C{type} that goes with a status."""
    return _TYPES.get(status) or ("api_error" if status >= 500 else "invalid_request_error")


def error_object(message: str, status: int, param: str | None, code: str | None) -> dict[str, str | None]:
    """What is in C{error}.

    @param param: the key of the request that is at fault, where one is.
    """
    return {"message": message, "type": type_of(status), "param": param, "code": code}


def error_body(message: str, status: int, param: str | None, code: str | None) -> bytes:
    """The whole document."""
    return orjson.dumps({"error": error_object(message, status, param, code)})


def error_event(message: str, status: int, param: str | None, code: str | None) -> bytes:
    """The same as the last event of a stream whose head, with another status, is out."""
    return encode_event(error_body(message, status, param, code))
