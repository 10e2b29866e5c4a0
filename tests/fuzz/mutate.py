"""Changes bytes by lot: for where there is no atheris, and for the test that the harness finds anything at all."""

from __future__ import annotations

from random import Random
from typing import Final

#: Bytes that mean something in one of the languages.
_WORDS: Final = (
    b"\r\n", b"\n", b"\r", b"\n\n", b"\r\n\r\n", b"\0", b" ", b"\t", b":", b";", b",", b'"', b"\\", b"{", b"}", b"[",
    b"]", b"0", b"-", b"+", b"0x", b"chunked", b"content-length: ", b"transfer-encoding: ", b"data: ", b"event: ",
    b"[DONE]", b'"model":', b'"content":"', b'"finish_reason":', b'"usage":', b"null", b"true", b"1e9", b"\\u0000",
    b"\xff", b"\xc3\xa9", b"\xef\xbb\xbf", b'"error":', b'"choices":', b'"delta":', b'"text":"', b'"token_ids":[',
)  # fmt: skip


def mutated(lot: Random, seeds: list[bytes]) -> bytes:
    """One of the seeds, changed in a few places."""
    data = bytearray(lot.choice(seeds))
    for _ in range(lot.randint(1, 4)):
        at = lot.randint(0, len(data))
        kind = lot.randrange(6)
        if kind == 0 and data:
            data[at % len(data)] = lot.randrange(256)
        elif kind == 1:
            data[at:at] = lot.choice(_WORDS)
        elif kind == 2:
            del data[at : at + lot.randint(1, 8)]
        elif kind == 3:
            data[at:at] = data[at : at + lot.randint(1, 40)]
        elif kind == 4:
            other = lot.choice(seeds)
            start = lot.randint(0, len(other))
            data[at:at] = other[start : start + lot.randint(1, 60)]
        else:
            del data[at:]
    return bytes(data[:8192])
