"""Is this request one that we take?  From its head and its body to what is asked of which model, or to an error."""

from __future__ import annotations

import re
from typing import Final

from aibrix_twisted.domain.fleet import Fleet
from aibrix_twisted.domain.settings import Limits
from aibrix_twisted.errors import (
    ClientError,
    InvalidBody,
    MalformedRequest,
    UnknownModel,
    UnsupportedMedia,
)
from aibrix_twisted.service.exchange.failures import visible
from aibrix_twisted.wire.bounds import BadRequest, Bounds
from aibrix_twisted.wire.head import RequestHead
from aibrix_twisted.wire.onward import Fields
from aibrix_twisted.wire.openai import Asked, peek
from aibrix_twisted.wire.routes import Route
from aibrix_twisted.wire.unquoted import unquoted

_SECONDS: Final = re.compile(rb"[0-9]{1,9}(?:\.[0-9]{1,9})?")

#: AIBrix's name for a request whose body is at fault.
_BODY_AT_FAULT = ((b"x-error-request-body-processing", b"true"),)


def coded_body(coding: bytes) -> UnsupportedMedia:
    """The refusal of a body that is compressed: what is in it could not be read, and its size would be unknown."""
    return UnsupportedMedia(
        f"content-encoding {coding.decode('latin-1')!r}: a request's body is taken only as it is, uncoded"
    )


def bounds_of(limits: Limits) -> Bounds:
    """What a body may be."""
    return Bounds(
        depth=limits.json_depth,
        names=limits.json_names,
        number=limits.json_number,
        choices=limits.choices,
        stops=limits.stops,
        grammar_bytes=limits.grammar_bytes,
        template_kwargs=limits.template_kwargs,
        template_names=limits.template_names,
    )


def read(route: Route, fields: Fields, body: bytes, bounds: Bounds) -> Asked:
    """What the body asks.

    @param fields: of the head.
    @raise ClientError: the body is not what the path takes.
    """
    try:
        return peek(route, fields.get(b"content-type"), body, bounds)
    except BadRequest as bad:
        kind: type[ClientError] = UnsupportedMedia if bad.status == UnsupportedMedia.status else InvalidBody
        logged = unquoted(str(bad), bad.param or "body")
        raise kind(str(bad), status=bad.status, param=bad.param, headers=_BODY_AT_FAULT, logged=logged) from None


def model_of(asked: Asked, fleet: Fleet, lot: float) -> str | None:
    """The model behind the name that was asked for; C{None} where some replica has yet to say what it serves.

    @param lot: in [0, 1), for names whose requests are dealt out to several models.
    @raise UnknownModel: no replica serves it.
    """
    model = fleet.resolve(asked.model, lot)
    if model is not None:
        return model
    if not fleet.settled:
        return None
    if not asked.model:
        raise InvalidBody("'model' is a required property: more than one model is served", param="model")
    header = (b"x-error-no-model-backends", visible(asked.model))
    raise UnknownModel(f"the model {asked.model!r} does not exist", param="model", headers=(header,))


def check_tokens(asked: Asked, most: int | None) -> None:
    """Hold what may be generated against what the model can.

    @param most: tokens of prompt and answer together, where the engines say; they refuse the rest themselves.
    @raise InvalidBody: it is more.
    """
    if most is not None and asked.max_tokens is not None and asked.max_tokens > most:
        raise InvalidBody(
            f"{asked.max_tokens} tokens are asked for: the model has {most} for prompt and answer", param="max_tokens"
        )


def total_timeout(head: RequestHead, default_s: float) -> float:
    """How long the exchange may take: what C{x-request-timeout} asks, within the settings' bound; 0 is no bound.

    @raise MalformedRequest: the header is no number of seconds.
    """
    said = head.fields.get(b"x-request-timeout")
    if said is None:
        return default_s
    if _SECONDS.fullmatch(said) is None or not float(said):
        raise MalformedRequest(
            f"x-request-timeout {said[:40].decode('latin-1')!r}: expected a number of seconds above 0"
        )
    return min(float(said), default_s) if default_s else float(said)
