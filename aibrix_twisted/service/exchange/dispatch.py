"""What is sent to a replica: the client's request, its body bit for bit but for the edits that are named."""

from __future__ import annotations

from typing import Final

from aibrix_twisted.domain.replica import Replica
from aibrix_twisted.domain.trace import Trace
from aibrix_twisted.interfaces import Random
from aibrix_twisted.wire.continuation import Continuation
from aibrix_twisted.wire.head import RequestHead
from aibrix_twisted.wire.kept import Kept
from aibrix_twisted.wire.onward import NOT_SENT_ON, onward
from aibrix_twisted.wire.openai import Asked
from aibrix_twisted.wire.routes import Dialect
from aibrix_twisted.wire.splice import ask_for_ids, force_include_usage, set_form_model, set_model
from aibrix_twisted.wire.traceparent import traceparent

#: Dialects that know C{stream_options.include_usage}.
_WITH_STREAM_OPTIONS: Final = frozenset({Dialect.CHAT, Dialect.COMPLETIONS})

#: Where spans of ours are kept, they stand between the client's and the engine's; and C{tracestate} goes with the trace
#: that it came with.
_NOT_IN_TRACE: Final = NOT_SENT_ON | {b"traceparent"}
_NOT_IN_NEW_TRACE: Final = _NOT_IN_TRACE | {b"tracestate"}

_SPAN_IDS: Final = (1 << 64) - 1


def sent_on(head: RequestHead, client: str, request_id: str, trace: Trace | None) -> bytes:
    """The header lines that every attempt of an exchange sends, each with its line end.

    C{x-forwarded-for} is replaced, not appended to: a client's own word on where it is must not reach an engine.
    """
    lines = head.onward
    if trace is not None:
        lines = onward(head.headers, head.fields, _NOT_IN_TRACE if trace.parent_id else _NOT_IN_NEW_TRACE)
    return b"%bx-request-id: %b\r\nx-forwarded-for: %b\r\nvia: 1.%d aibrix-gateway\r\n" % (
        lines,
        request_id.encode(),
        client.encode(),
        head.minor_version,
    )


def traced(lines: bytes, trace: Trace, rng: Random) -> bytes:
    """The header lines of one more attempt, whose span is the parent of the engine's own."""
    span_id = rng.randrange(_SPAN_IDS) + 1
    trace.attempts.append(span_id)
    return b"%btraceparent: %b\r\n" % (lines, traceparent(trace.trace_id, span_id, trace.flags))


def edited_body(
    body: bytes, content_type: bytes | None, asked: Asked, model: str, replica: Replica, kept: Kept | None
) -> tuple[bytes, tuple[str, ...], bool]:
    """The body for this replica.

    @param kept: keeps the stream that will come; what it takes out of that is asked for.
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
    if kept is not None and kept.withholds_ids:
        body = ask_for_ids(body, has=asked.says_ids)
        edits += ("return_token_ids",)
    return body, edits, withhold


def continuation_head(replica: Replica, head: RequestHead, shared_lines: bytes, plan: Continuation) -> bytes:
    """The whole head of a request for the rest of a stream."""
    return _head_of(replica, head, plan.path, shared_lines, len(plan.body))


def request_head(replica: Replica, head: RequestHead, shared_lines: bytes, length: int) -> bytes:
    """The whole head for this replica."""
    return _head_of(replica, head, head.path + head.query, shared_lines, length)


def _head_of(replica: Replica, head: RequestHead, target: bytes, shared_lines: bytes, length: int) -> bytes:
    authorization = replica.authorization
    if authorization is None and replica.forward_authorization:
        authorization = head.fields.get(b"authorization")
    return b"POST %b%b HTTP/1.1\r\nhost: %b\r\n%b%bcontent-length: %d\r\n\r\n" % (
        replica.prefix,
        target,
        replica.authority,
        shared_lines,
        b"" if authorization is None else b"authorization: %b\r\n" % authorization,
        length,
    )
