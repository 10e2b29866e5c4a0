"""The admin API, asked over HTTP: one question, one answer, one connection."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from http.client import HTTPConnection, HTTPException
from typing import Any, Final, NamedTuple

import orjson

from aibrix_twisted import __version__
from aibrix_twisted.ctl.failures import Refused, Unreachable
from aibrix_twisted.ctl.target import Target

#: For the connect, and between two reads.
TIMEOUT_S: Final = 10.0

_LOOK: Final = (
    "is it running?  systemctl status aibrix-gateway",
    '`admin` in its configuration says where it listens ("none": nowhere); default tcp:9090:interface=127.0.0.1',
    "another place is named by --admin URL or AIBRIX_ADMIN",
)


class Answer(NamedTuple):
    """What the gateway said.

    @ivar text: the document as it came.
    """

    status: int
    text: str
    document: dict[str, Any]


class Client:
    """The admin API of one gateway."""

    def __init__(self, target: Target, token: str = "", *, timeout_s: float = TIMEOUT_S) -> None:
        """
        @param token: sent as a bearer token; empty: none is.
        """
        self._target = target
        self._token = token
        self._timeout_s = timeout_s

    def ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Answer:
        """Ask once.

        @param path: quoted, with its query.
        @raise Refused: the gateway said no.
        @raise Unreachable: no answer came, or not one of the admin API.
        """
        with closing(self._target.connection(self._timeout_s)) as connection:
            status, content = self._exchange(connection, method, path, body)
        document = _document(content)
        if document is not None and 200 <= status < 300:
            return Answer(status, content.decode(), document)
        error = document.get("error") if document is not None and status >= 400 else None
        if document is None or not isinstance(error, dict):
            said = f"what answers at {self._target.said} is not the gateway's admin API (HTTP {status})"
            raise Unreachable(said, _LOOK[1:])
        if error.get("code") == "unknown_path":
            said = f"{self._target.said} is no admin listener: {error.get('message')}"
            raise Unreachable(said, ("is that the port for clients?", *_LOOK[1:]))
        raise _refusal(status, content.decode(), document)

    def _exchange(
        self, connection: HTTPConnection, method: str, path: str, body: Mapping[str, Any] | None
    ) -> tuple[int, bytes]:
        headers = {"accept": "application/json", "user-agent": f"aibrixctl/{__version__}"}
        if method != "GET":
            headers["content-type"] = "application/json"
        if self._token:
            headers["authorization"] = f"Bearer {self._token}"
        data = None if body is None else orjson.dumps(body)
        sent = False
        try:
            connection.request(method, self._target.prefix + path, data, headers)
            sent = True
            response = connection.getresponse()
            content = response.read()
            if not content:  # http.client takes a head that breaks off for a whole one
                raise HTTPException(f"an empty answer, HTTP {response.status}")
            return response.status, content
        except (OSError, HTTPException) as error:
            message = f"the gateway cannot be reached at {self._target.said}: {_reason(error)}"
            if sent and method != "GET":
                message += "; it may have done what was asked all the same"
            raise Unreachable(message, _LOOK) from None


def _refusal(status: int, text: str, document: dict[str, Any]) -> Refused:
    problems = document.get("problems")
    notes = [str(problem) for problem in problems] if isinstance(problems, list) else []
    if status == 401:
        notes.append("a token is given with --token-file FILE or AIBRIX_ADMIN_TOKEN_FILE")
    message = document["error"].get("message")
    return Refused(str(message or f"refused with HTTP {status}"), notes, answer=text)


def _document(content: bytes) -> dict[str, Any] | None:
    try:
        document = orjson.loads(content)
    except orjson.JSONDecodeError:
        return None
    return document if isinstance(document, dict) else None


def _reason(error: OSError | HTTPException) -> str:
    """One line of it."""
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__
