"""Whose habits a simulated engine has.  What stands here was seen of the real ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Profile:
    """One engine's habits.

    @ivar owner: C{owned_by} of its models.
    @ivar done: a stream ends with C{[DONE]}.
    @ivar usage_event: C{include_usage} is answered with an event of its own.
    @ivar usage_in_finish: usage rides in the event that finishes, asked for or not.
    @ivar null_finish: events before the last say C{"finish_reason": null}.
    @ivar first_delta: C{delta} of a stream's first event.
    @ivar idle_limit_s: after which an idle connection is closed.
    @ivar closes_after_stream: the connection is closed after a streamed answer, without saying so.
    @ivar keep_alive_header: what is promised of the connection.
    @ivar knows_fields: unknown members of a request are refused with 422 where not C{None}.
    @ivar detail_errors: errors are C{{"detail": ...}}.
    @ivar timings: llama.cpp's extra member.
    @ivar checks_model: a model that is not served is 404.
    """

    owner: str
    done: bool = True
    usage_event: bool = True
    usage_in_finish: bool = False
    null_finish: bool = True
    first_delta: str = '{"role":"assistant","content":""}'
    idle_limit_s: float = 5.0
    closes_after_stream: bool = False
    keep_alive_header: str = ""
    knows_fields: frozenset[str] | None = None
    detail_errors: bool = False
    timings: bool = False
    checks_model: bool = True


_FIELDS: Final = frozenset(
    {
        "frequency_penalty", "max_completion_tokens", "max_tokens", "messages", "model", "n", "prompt", "seed", "stop",
        "stream", "stream_options", "temperature", "tool_choice", "tools", "top_p", "user",
    }
)  # fmt: skip

PROFILES: Final[dict[str, Profile]] = {
    "vllm": Profile("vllm"),
    "sglang": Profile(
        "sglang",
        first_delta='{"role":"assistant","content":"","reasoning_content":null,"tool_calls":null}',
        checks_model=False,
    ),
    "llamacpp": Profile(
        "llamacpp",
        first_delta='{"role":"assistant","content":null}',
        closes_after_stream=True,
        keep_alive_header="timeout=5, max=100",
        timings=True,
        checks_model=False,
    ),
    "llamacpp_python": Profile("me", usage_event=False, first_delta='{"role":"assistant"}', checks_model=False),
    "transformers": Profile(
        "transformers",
        done=False,
        usage_event=False,
        usage_in_finish=True,
        null_finish=False,
        first_delta='{"role":"assistant"}',
        knows_fields=_FIELDS,
        detail_errors=True,
    ),
    "plain": Profile("demo", idle_limit_s=0.0),
}
