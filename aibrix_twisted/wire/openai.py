"""What a request asks: the few members of its body on which a gateway's decisions hang.

The body is decoded once and never written again; what is not named here is the engine's business, and is not judged.
What two readers could read differently is refused, because the engine is the second reader: a name that comes twice,
a document nested beyond reason, bytes that are not UTF-8.
"""

from __future__ import annotations

from typing import Any, Final

import orjson

from aibrix_twisted.wire.bounds import BadRequest, Bounds, check_document, check_members
from aibrix_twisted.wire.multipart import BadForm, boundary_of, fields_of
from aibrix_twisted.wire.routes import Dialect, Route

MAX_MODEL_CHARACTERS: Final = 256

#: Members without which a request asks for nothing special.
_MORE: Final = frozenset(
    {
        "max_completion_tokens",
        "max_output_tokens",
        "n",
        "previous_response_id",
        "prompt",
        "return_token_ids",
        "store",
        "stream_options",
        "user",
    }
)

_USUAL: Final = Bounds()


class Asked:
    """What was asked.

    @ivar model: as the client spelled it; empty where the path does without.
    @ivar document: the body as it was decoded, or C{None} where it is a form, or where it is decided who answers: many
        times larger than the body, it is not kept for longer.
    @ivar choices: how many answers one request asks for: C{n} for each prompt.
    @ivar stream_options: the member is there.
    @ivar include_usage: usage is asked for, or C{stream_options} is nothing that could be edited so as to ask.
    @ivar says_ids: it speaks of C{return_token_ids}.
    @ivar token_ids: it wants them.
    @ivar stateful: the engine may keep something of it, so that it is not sent twice.
    """

    __slots__ = (
        "choices",
        "document",
        "include_usage",
        "max_tokens",
        "model",
        "route",
        "says_ids",
        "stateful",
        "stream",
        "stream_options",
        "token_ids",
        "user",
    )

    def __init__(self, route: Route, model: str = "", stream: bool = False, user: str | None = None) -> None:
        self.route = route
        self.model = model
        self.stream = stream
        self.user = user
        self.document: dict[str, Any] | None = None
        self.max_tokens: int | None = None
        self.choices = 1
        self.stream_options = False
        self.include_usage = False
        self.says_ids = False
        self.token_ids = False
        self.stateful = False


def peek(route: Route, content_type: bytes | None, body: bytes, bounds: Bounds = _USUAL) -> Asked:
    """Read what a body asks.

    @param content_type: the header's value.
    @param bounds: of a JSON document.
    @raise BadRequest: it is not what the path takes.
    """
    if route.multipart:
        return _peek_form(route, content_type, body)
    if content_type is not None and content_type != b"application/json":
        _check_kind(content_type)
    document = _decoded(body, bounds)
    asked = Asked(route, _model(route, document.get("model")), _stream(document.get("stream")))
    asked.document = document
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


def _decoded(body: bytes, bounds: Bounds) -> dict[str, Any]:
    if not body:
        raise BadRequest("the body is empty: expected a JSON object")
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise BadRequest(f"the body is not JSON: {error}") from None
    if not isinstance(document, dict):
        raise BadRequest(f"the body is {_shown(document)}: expected a JSON object")
    check_document(body, document, bounds)
    check_members(document, bounds)
    return document


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
    if isinstance(value, (dict, list)):
        return "an object" if isinstance(value, dict) else "an array"
    text = ascii(value[:80]) if isinstance(value, str) else orjson.dumps(value).decode()
    return text if len(text) <= 60 else text[:60] + "..."
