"""What reading a prompt costs on a GPU, as Preble measured it (Srivatsa et al., 2024; AIBrix has the same figures)."""

from __future__ import annotations

from typing import Final, NamedTuple

#: What a token of an answer takes, in seconds, and how many an answer is taken to have.
TOKEN_S: Final = 0.15
ANSWER_TOKENS: Final = 45

#: How much of the time that a request takes its prompt takes.
_SHARE: Final = 0.9


class Gpu(NamedTuple):
    """Fits of milliseconds by tokens; each polynomial from its constant on.

    @ivar long: layers that are linear in tokens, from 384 tokens on; C{middle}: from 192; C{short_ms}: below.
    @ivar attention: over the context, beyond 1 024 tokens; C{near_ms}: within.
    @ivar quadratic: beyond 4 096 tokens.
    """

    long: tuple[float, float]
    middle: tuple[float, float, float]
    short_ms: float
    attention: tuple[float, float]
    near_ms: float
    quadratic: tuple[float, float, float]


V100: Final = Gpu(
    (10.52444263, 0.27106428), (-295.0, 3.125, -6.4e-3), 55.0, (0.398, 4.65e-4), 0.80, (-18.425, 9.65e-3, 5.4e-6)
)
A6000: Final = Gpu(
    (4.209777054806409, 0.10842571), (-118.0, 1.25, -2.56e-3), 22.0, (0.159, 1.86e-4), 0.32, (-7.37, 3.86e-3, 2.16e-6)
)


def prefill_s(tokens: float, context: float, gpu: Gpu = V100) -> float:
    """Seconds for so many new tokens in a context of so many.  Other GPUs are taken for a V100, as they rank alike."""
    if tokens >= 384:
        linear = gpu.long[0] + gpu.long[1] * tokens
    elif tokens >= 192:
        linear = gpu.middle[0] + gpu.middle[1] * tokens + gpu.middle[2] * tokens * tokens
    else:
        linear = gpu.short_ms
    attention = gpu.near_ms if context <= 1024 else gpu.attention[0] + gpu.attention[1] * context
    if tokens <= 1024:
        attention /= 2
    quadratic = 0.0
    if tokens >= 4096:
        quadratic = gpu.quadratic[0] + gpu.quadratic[1] * tokens + gpu.quadratic[2] * tokens * tokens
    return (linear + attention + quadratic) / _SHARE / 1000.0
