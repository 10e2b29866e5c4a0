"""Whose habits a simulated engine has.  What stands here was seen of the real ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal


@dataclass(frozen=True, slots=True)
class Profile:
    """One engine's habits.

    @ivar owner: C{owned_by} of its models.
    @ivar done: a stream ends with C{[DONE]}.
    @ivar usage_event: C{include_usage} is answered with an event of its own.
    @ivar usage_in_finish: usage rides in the event that finishes, asked for or not.
    @ivar null_finish: events before the last say C{"finish_reason": null}.
    @ivar first_delta: C{delta} of a stream's first event; empty: there is no such event.
    @ivar idle_limit_s: after which an idle connection is closed.
    @ivar closes_after_stream: the connection is closed after a streamed answer, without saying so.
    @ivar keep_alive_header: what is promised of the connection.
    @ivar keep_alive_max: requests after which a connection is closed, as the last answer's head says; 0: never.
    @ivar knows_fields: unknown members of a request are refused with 422 where not C{None}.
    @ivar detail_errors: errors are C{{"detail": ...}}.
    @ivar says_ids: events say which tokens they stand for, if C{return_token_ids} is asked for.
    @ivar timings: llama.cpp's extra member.
    @ivar checks_model: a model that is not served is 404.
    @ivar model_suffix: follows the model's name in answers.
    @ivar lists_models: C{GET /v1/models} says what is served; else it is an empty list.
    @ivar health_generates: each C{GET /health} makes it compute a token.
    @ivar serial: a new request cuts the stream that is under way: that ends with C{[DONE]}, unfinished.
    @ivar knows_max_completion_tokens: else only C{max_tokens} bounds an answer.
    @ivar overflow: the error of a prompt that does not fit, as JSON; with C{%d} for its tokens and C{%d} for the bound.
    @ivar on_term: what becomes of streams when the process is told to end: C{drain} finishes them, C{cut} closes their
        connections, C{stall} sends nothing more for half a minute and then closes, C{done} ends them after two more
        events as if they were whole.
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
    says_ids: bool = False
    timings: bool = False
    checks_model: bool = True
    keep_alive_max: int = 0
    model_suffix: str = ""
    lists_models: bool = True
    health_generates: bool = False
    serial: bool = False
    knows_max_completion_tokens: bool = True
    overflow: str = (
        '{"error":{"message":"%d tokens are more than the %d that fit","type":"BadRequestError","code":400}}'
    )
    on_term: Literal["drain", "cut", "stall", "done"] = "drain"


_FIELDS: Final = frozenset(
    {
        "frequency_penalty", "max_completion_tokens", "max_tokens", "messages", "model", "n", "prompt", "seed", "stop",
        "stream", "stream_options", "temperature", "tool_choice", "tools", "top_p", "user",
    }
)  # fmt: skip

PROFILES: Final[dict[str, Profile]] = {
    "vllm": Profile("vllm", says_ids=True, on_term="done"),
    "sglang": Profile(
        "sglang",
        first_delta='{"role":"assistant","content":"","reasoning_content":null,"tool_calls":null}',
        checks_model=False,
        health_generates=True,
        overflow='{"object":"error","message":"%d tokens, %d at most","type":"BadRequest","param":null,"code":400}',
    ),
    "llamacpp": Profile(
        "llamacpp",
        first_delta='{"role":"assistant","content":null}',
        closes_after_stream=True,
        keep_alive_header="timeout=5, max=100",
        keep_alive_max=100,
        timings=True,
        checks_model=False,
        overflow='{"error":{"code":400,"message":"%d tokens","type":"exceed_context_size_error","n_ctx":%d}}',
        on_term="stall",
    ),
    "llamacpp_python": Profile(
        "me",
        usage_event=False,
        first_delta='{"role":"assistant"}',
        checks_model=False,
        serial=True,
        knows_max_completion_tokens=False,
        on_term="cut",
    ),
    "transformers": Profile(
        "transformers",
        done=False,
        usage_event=False,
        usage_in_finish=True,
        null_finish=False,
        first_delta='{"role":"assistant"}',
        knows_fields=_FIELDS,
        detail_errors=True,
        model_suffix="@main",
        lists_models=False,
        overflow='{"detail":"%d tokens: at most %d"}',
    ),
    "guidellm": Profile("guidellm", first_delta="", checks_model=False),
    "plain": Profile("demo", idle_limit_s=0.0),
}
