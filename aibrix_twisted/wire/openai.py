"""What a request asks: the few members of its body on which a gateway's decisions hang.

The body is decoded once and never written again; what is not named here is the engine's business, and is not judged.
What two readers could read differently is refused, because the engine is the second reader: a name that comes twice,
a document nested beyond reason, bytes that are not UTF-8.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, Final

import orjson

from aibrix_twisted.wire.multipart import BadForm, boundary_of, fields_of
from aibrix_twisted.wire.routes import Dialect, Route

MAX_DEPTH: Final = 64
MAX_MODEL_CHARACTERS: Final = 256

#: Members that are read here.  None of them may come twice.
_READ: Final = frozenset(
    {
        "max_completion_tokens",
        "max_output_tokens",
        "max_tokens",
        "model",
        "n",
        "previous_response_id",
        "prompt",
        "return_token_ids",
        "store",
        "stream",
        "stream_options",
        "user",
    }
)

#: Those without which a request asks for nothing special.
_MORE: Final = _READ - {"max_tokens", "model", "stream"}

#: The same as they are mostly spelled, wherever in a document, text included: one search, for it may be long.
_NAMES: Final = re.compile(rb'"(%b)"[ \t\r\n]*+:' % "|".join(sorted(_READ)).encode())

#: An escape that spells a letter of such a name, or C{_}; clients that write ASCII only spell many others.
_SPELLED_LETTER: Final = re.compile(rb"\\u00(?:5[fF]|6[1-9a-fA-F]|7[0-9aA])")


class BadRequest(Exception):
    """The body is not what the path takes.

    @ivar status: 400, or 415 for a kind of content that is not taken.
    @ivar param: the member that is at fault, where one is.
    """

    def __init__(self, message: str, *, param: str | None = None, status: int = 400) -> None:
        super().__init__(message)
        self.param = param
        self.status = status


@dataclass(slots=True)
class Asked:
    """What was asked.

    @ivar model: as the client spelled it; empty where the path does without.
    @ivar choices: how many answers one request asks for: C{n} for each prompt.
    @ivar stream_options: the member is there.
    @ivar include_usage: usage is asked for, or C{stream_options} is nothing that could be edited so as to ask.
    @ivar says_ids: it speaks of C{return_token_ids}.
    @ivar token_ids: it wants them.
    @ivar stateful: the engine may keep something of it, so that it is not sent twice.
    """

    route: Route
    model: str = ""
    stream: bool = False
    user: str | None = None
    max_tokens: int | None = None
    choices: int = 1
    stream_options: bool = False
    include_usage: bool = False
    says_ids: bool = False
    token_ids: bool = False
    stateful: bool = False


def peek(route: Route, content_type: bytes | None, body: bytes) -> Asked:
    """Read what a body asks.

    @param content_type: the header's value.
    @raise BadRequest: it is not what the path takes.
    """
    if route.multipart:
        return _peek_form(route, content_type, body)
    if content_type is not None and content_type != b"application/json":
        _check_kind(content_type)
    document = _decoded(body)
    asked = Asked(route, _model(route, document.get("model")), _stream(document.get("stream")))
    if _MORE.isdisjoint(document):  # the usual case, in one look
        asked.stateful = route.dialect is Dialect.RESPONSES
        asked.max_tokens = _limit(document.get("max_tokens"))
        return asked
    user = document.get("user")
    if isinstance(user, str):
        asked.user = user
    for name in ("max_completion_tokens", "max_tokens", "max_output_tokens"):
        asked.max_tokens = _limit(document.get(name))
        if asked.max_tokens is not None:
            break
    asked.choices = _choices(document)
    options = document.get("stream_options")
    asked.stream_options = "stream_options" in document
    if isinstance(options, dict):
        asked.include_usage = options.get("include_usage") is True
    else:
        asked.include_usage = options is not None
    asked.says_ids = "return_token_ids" in document
    asked.token_ids = document.get("return_token_ids") not in (None, False)
    asked.stateful = route.dialect is Dialect.RESPONSES and (
        document.get("store") is not False or document.get("previous_response_id") is not None
    )
    return asked


def _check_kind(content_type: bytes) -> None:
    kind = content_type.partition(b";")[0].strip().lower()
    if kind != b"application/json" and not (kind.startswith(b"application/") and kind.endswith(b"+json")):
        raise BadRequest(f"content-type {kind.decode('latin-1')!r}: expected application/json", status=415)


def _decoded(body: bytes) -> dict[str, Any]:
    if not body:
        raise BadRequest("the body is empty: expected a JSON object")
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise BadRequest(f"the body is not JSON: {error}") from None
    if not isinstance(document, dict):
        raise BadRequest(f"the body is {_shown(document)}: expected a JSON object")
    if body.count(b"{") + body.count(b"[") > MAX_DEPTH:
        _check_depth(document)
    names = _NAMES.findall(body)
    if len(set(names)) != len(names) or (body.find(b"\\u00") >= 0 and _SPELLED_LETTER.search(body) is not None):
        _check_names(body)
    return document


def _check_depth(document: dict[str, Any]) -> None:
    level: list[Any] = [document]
    for _ in range(MAX_DEPTH):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, (dict, list))
        ]
        if not level:
            return
    raise BadRequest(f"the body is nested deeper than {MAX_DEPTH} levels")


def _check_names(body: bytes) -> None:
    """A name that comes twice at the top means one thing to one reader and another to the next (RFC 8259 §4)."""
    pairs: list[tuple[str, Any]] = []

    def remember(found: list[tuple[str, Any]]) -> None:
        pairs[:] = found  # the outermost object is the last to be read

    json.loads(body, object_pairs_hook=remember)
    seen = set()
    for name, _ in pairs:
        if name in seen and name in _READ:
            raise BadRequest(f"{name!r} comes twice: expected it once", param=name)
        seen.add(name)


def _model(route: Route, model: Any) -> str:
    if model is None and not route.model_required:
        return ""
    if model is None:
        raise BadRequest("'model' is a required property", param="model")
    if not isinstance(model, str):
        raise BadRequest(f"'model' is {_shown(model)}: expected a string", param="model")
    if not 0 < len(model) <= MAX_MODEL_CHARACTERS or not model.isprintable():
        raise BadRequest(
            f"'model' is {_shown(model)}: expected 1 to {MAX_MODEL_CHARACTERS} printable characters", param="model"
        )
    return model


def _stream(stream: Any) -> bool:
    if stream is None or isinstance(stream, bool):
        return bool(stream)
    raise BadRequest(f"'stream' is {_shown(stream)}: expected true or false", param="stream")


def _limit(said: Any) -> int | None:
    return said if type(said) is int else None  # not true, nor false, which are numbers too


def _choices(document: dict[str, Any]) -> int:
    n = document.get("n")
    each = n if isinstance(n, int) and n > 1 else 1
    prompt = document.get("prompt")
    if isinstance(prompt, list) and prompt and isinstance(prompt[0], (str, list)):
        return each * len(prompt)
    return each


def _peek_form(route: Route, content_type: bytes | None, body: bytes) -> Asked:
    try:
        fields = fields_of(body, boundary_of(content_type), ("model", "stream", "user"))
    except BadForm as bad:
        raise BadRequest(str(bad), status=bad.status) from None
    values = {}
    for name, (start, end) in fields.items():
        try:
            values[name] = body[start:end].decode()
        except UnicodeDecodeError:
            raise BadRequest(f"the field {name!r} is not UTF-8", param=name) from None
    asked = Asked(route, model=_model(route, values.get("model")), user=values.get("user"))
    stream = values.get("stream", "false").lower()
    if stream not in ("true", "false", "1", "0"):
        raise BadRequest(f"the field 'stream' is {_shown(stream)}: expected true or false", param="stream")
    asked.stream = stream in ("true", "1")
    return asked


def _shown(value: Any) -> str:
    """A stranger's value, as it may be said: short, on one line."""
    text = ascii(value) if isinstance(value, str) else json.dumps(value)[:80]
    return text if len(text) <= 60 else text[:60] + "..."
