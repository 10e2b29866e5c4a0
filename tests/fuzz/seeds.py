"""What fuzzing begins with: of each language some words that are in it, and some that are nearly."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from tests.e2e.hostile import rows_bodies, rows_requests, rows_responses
from tests.wire.streams import DONE, STREAMS

_RECORDED: Final = Path(__file__).parents[1] / "corpus"
CORPUS: Final = _RECORDED / "fuzz"

_CUT: Final = b"\x07"


def _requests() -> list[bytes]:
    cases = [case.raw.replace(b"@@", b"") for table in rows_requests.TABLES for case in table]
    return [case for case in cases if len(case) < 3000]


def _responses() -> list[bytes]:
    cases = [case.raw for table in rows_responses.TABLES for case in table]
    return [case for case in cases if len(case) < 3000]


def _streams() -> list[bytes]:
    said = [body for _, body in rows_responses.ODDITIES if len(body) < 3000]
    known = [str(each[0]).encode() for each in STREAMS.values()]
    return [*said, *known, DONE.encode()]


def seeds(name: str) -> list[bytes]:
    """For a target: those that are kept because something was found by them, and those that are made."""
    kept = [path.read_bytes() for path in sorted((CORPUS / name).glob("*"))]
    return kept + _MADE[name]


def _heads(raws: list[bytes]) -> list[bytes]:
    return [raw.partition(b"\r\n\r\n")[0] for raw in raws]


_FORM: Final = (
    b'multipart/form-data; boundary=b\n--b\r\ncontent-disposition: form-data; name="model"\r\n\r\nm\r\n'
    b'--b\r\ncontent-disposition: form-data; name="file"; filename="a"\r\n\r\nxx\r\n--b--\r\n'
)

_MADE: Final[dict[str, list[bytes]]] = {
    "request": [_CUT + raw for raw in _requests()],
    "request_head": _heads(_requests()),
    "response": [_CUT + raw for raw in _responses()],
    "response_head": _heads(_responses()),
    "chunked": [_CUT + raw.partition(b"\r\n\r\n")[2] for raw in _requests() if b"chunked" in raw],
    "body": [case.body for case in rows_bodies.JSON if len(case.body) < 3000],
    "form": [_FORM, _FORM.replace(b"b\n", b'"b"\n'), _FORM[:-4]],
    "events": [_CUT + raw for raw in _streams()],
    "stream": [_CUT + raw for raw in _streams()],
    "answer": [_CUT + rows_responses.JSON, _CUT + b'{"usage":{"prompt_tokens":1,"completion_tokens":2}}'],
    "metrics": [
        *(path.read_bytes()[:4000] for path in sorted(_RECORDED.glob("*.metrics"))),
        b"TEXT named_metrics.kv_cache_usage_perc=0.4, named_metrics.num_requests_waiting=1",
        b'JSON {"named_metrics":{"kv_cache_usage_perc":0.4}}',
    ],
    "models": [b'{"object":"list","data":[{"id":"m","owned_by":"vllm","max_model_len":9}]}'],
    "trace": [b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", b"cc-" + b"1" * 32 + b"-" + b"2" * 16 + b"-03-x"],
}  # fmt: skip
