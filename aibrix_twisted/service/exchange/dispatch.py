"""What is sent to a replica: the client's request, its body bit for bit but for the edits that are named."""

from __future__ import annotations

from typing import Final

from aibrix_twisted.domain.replica import Replica
from aibrix_twisted.wire.head import RequestHead
from aibrix_twisted.wire.openai import Asked
from aibrix_twisted.wire.routes import Dialect
from aibrix_twisted.wire.splice import force_include_usage, set_form_model, set_model

#: Dialects that know C{stream_options.include_usage}.
_WITH_STREAM_OPTIONS: Final = frozenset({Dialect.CHAT, Dialect.COMPLETIONS})


def sent_on(head: RequestHead, client: str, request_id: str) -> bytes:
    """The header lines that every attempt of an exchange sends, each with its line end.

    C{x-forwarded-for} is replaced, not appended to: a client's own word on where it is must not reach an engine.
    """
    return b"%bx-request-id: %b\r\nx-forwarded-for: %b\r\nvia: 1.%d aibrix-gateway\r\n" % (
        head.onward,
        request_id.encode(),
        client.encode(),
        head.minor_version,
    )


def edited_body(
    body: bytes, content_type: bytes | None, asked: Asked, model: str, replica: Replica
) -> tuple[bytes, tuple[str, ...], bool]:
    """The body for this replica.

    @return: the body; the names of the edits, as C{x-aibrix-edited} says them; whether the usage that is asked
        for by us has to be withheld from the client.
    """
    edits: tuple[str, ...] = ()
    if asked.model and asked.model != model:
        body = set_form_model(body, content_type, model) if asked.route.multipart else set_model(body, model)
        edits = ("model",)
    withhold = (
        asked.stream
        and not asked.include_usage
        and replica.forces_usage
        and asked.route.dialect in _WITH_STREAM_OPTIONS
    )
    if withhold:
        body = force_include_usage(body, has_options=asked.stream_options)
        edits += ("stream_options",)
    return body, edits, withhold


def request_head(replica: Replica, head: RequestHead, shared_lines: bytes, length: int) -> bytes:
    """The whole head for this replica."""
    authorization = replica.authorization
    if authorization is None and replica.forward_authorization:
        authorization = head.fields.get(b"authorization")
    return b"POST %b%b%b HTTP/1.1\r\nhost: %b\r\n%b%bcontent-length: %d\r\n\r\n" % (
        replica.prefix,
        head.path,
        head.query,
        replica.authority,
        shared_lines,
        b"" if authorization is None else b"authorization: %b\r\n" % authorization,
        length,
    )
