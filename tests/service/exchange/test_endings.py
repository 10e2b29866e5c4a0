"""Every way for an exchange to end: what its client got, the counts and the log line say the same, and it is right.

One table.  A new class of errors has to come into it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.domain.attempt import Kind
from aibrix_twisted.domain.breaker import BreakerState
from aibrix_twisted.domain.exchange import Exchange
from aibrix_twisted.domain.health import Health, ProbeResult
from aibrix_twisted.domain.replica import Replica
from aibrix_twisted.domain.settings import (
    BreakerSettings,
    HealthSettings,
    HedgeSettings,
    Limits,
    ModelSettings,
    QueueSettings,
    ReplicaTlsSettings,
    Retry,
    Settings,
    Timeouts,
)
from aibrix_twisted.domain.timing import Stamps
from aibrix_twisted.service.downstream.protocol import DownstreamConnection
from aibrix_twisted.service.seldom import MOST
from aibrix_twisted.wire.response import ResponseParser
from tests.fakes import STREAM_HEAD, Bench, Wire, chunk, post, replica
from tests.house.test_errors import _leaves
from tests.service.exchange.engines import ANSWERS, Engine
from tests.service.telemetry.test_record import record_of
from tests.wire.streams import DONE, _chat

STREAM: Final = b'{"model":"m","stream":true}'
EVENT: Final = chunk(_chat('{"content":"a"}').encode())
STOP: Final = chunk(_chat("{}", '"stop"').encode())
END: Final = chunk(DONE.encode()) + b"0\r\n\r\n"
ERROR: Final = chunk(b'data: {"error":{"message":"EngineCore died","code":500}}\n\n')


class Scene:
    """A gateway without a network, one client, and words for what happens."""

    def __init__(self, test: SynchronousTestCase) -> None:
        self.test = test
        self.client: DownstreamConnection
        self.wire: Wire
        self.others = 0
        self._patches: list[Any] = []

    def set_up(self, *replicas: Replica, **sections: Any) -> None:
        """Timeouts that are short; a retry needs no patience."""
        sections.setdefault("retry", Retry(backoff=0.0))
        sections.setdefault("timeouts", Timeouts(first_byte=3.0, stall=2.0, total=6.0, connect=2.0))
        self.bench = Bench(Settings(**sections), replicas)
        self.client, self.wire = self.bench.client()

    def mend(self) -> None:
        """Take out what was put in a defect's place."""
        while self._patches:
            self._patches.pop().restore()

    def breaks(self, owner: Any, name: str) -> None:
        """A defect of ours, there."""
        self._patches.append(self.test.patch(owner, name, _raise))

    def full(self, **sections: Any) -> None:
        """One replica, which can take no more."""
        self.set_up(replica("gpu0", max_in_flight=1), **sections)
        self.bench.replicas[0].load.lease("m")
        self.others = 1

    @property
    def leased(self) -> int:
        """What replicas have, as they are counted."""
        return sum(each.load.in_flight for each in self.bench.replicas)

    @property
    def durations(self) -> int:
        """How many were observed."""
        models = self.bench.metrics.models.values()
        return int(sum(each.buckets()[-1][1] for model in models for each in model.durations.values()))

    def send(self, data: bytes) -> None:
        self.client.dataReceived(data)

    def ask(self, body: bytes = b'{"model":"m"}', *lines: bytes, path: bytes = b"/v1/chat/completions") -> None:
        self.send(post(body, path, *lines))

    def engine(self) -> Engine:
        """The newest connect succeeds."""
        return Engine(*self.bench.upstream(), len(self.bench.reactor.connects))

    def begun(self) -> Engine:
        """A stream that has begun."""
        self.ask(STREAM)
        engine = self.engine()
        engine.say(STREAM_HEAD + EVENT)
        return engine

    def probed(self) -> Replica:
        """A replica that can be down."""
        return replica("gpu0", health=Health(HealthSettings(slow_start=0.0), BreakerSettings()))


class Row(NamedTuple):
    """An ending.

    @ivar how: what happens; the exchange is over then.
    @ivar status: in the log and in the counts; the client's, too, where it was there to get one.
    @ivar attempts: those that are told of, each with its outcome, and its kind where that is not C{first}.
    @ivar reached: how many reached a replica.
    """

    how: Callable[[Scene], object]
    status: int
    outcome: str
    cause: str | None
    error: str
    attempts: str = ""
    reached: int = 0


ROWS: Final[list[Row]] = []


def ends(
    status: int, outcome: str, cause: str | None = None, error: str = "", attempts: str = "", reached: int | None = None
) -> Callable[[Callable[[Scene], object]], Callable[[Scene], object]]:
    """So does it end."""

    def noted(how: Callable[[Scene], object]) -> Callable[[Scene], object]:
        count = len(attempts.split()) if reached is None else reached
        ROWS.append(Row(how, status, outcome, cause, error, attempts, count))
        return how

    return noted


# -- answers ---------------------------------------------------------------------------------------------------------


@ends(200, "complete", "final_chunk", attempts="complete")
def a_whole_answer(scene: Scene) -> None:
    scene.ask()
    scene.engine().say(ANSWERS["json"])


@ends(200, "complete", "final_chunk", attempts="complete")
def a_whole_stream(scene: Scene) -> None:
    scene.begun().say(STOP + END)


@ends(200, "complete", "upstream_closed", attempts="complete")
def a_stream_that_the_close_ends(scene: Scene) -> None:
    scene.ask(STREAM)
    engine = scene.engine()
    engine.say(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n")
    engine.say(_chat("{}", '"stop"').encode() + DONE.encode())
    engine.wire.lose()


@ends(400, "complete", "final_chunk", attempts="complete")
def the_engines_own_refusal(scene: Scene) -> None:
    scene.ask()
    scene.engine().say(ANSWERS["400"])


@ends(500, "complete", "final_chunk", attempts="complete")
def the_engines_own_failure(scene: Scene) -> None:
    scene.ask()
    scene.engine().say(ANSWERS["500"])


@ends(429, "complete", "final_chunk", attempts="complete")
def the_engines_own_word_that_it_is_busy(scene: Scene) -> None:
    scene.ask()
    scene.engine().say(ANSWERS["429"])


@ends(200, "malformed", "final_chunk", "engine_malformed", attempts="malformed")
def an_answer_that_does_not_decode(scene: Scene) -> None:
    scene.ask()
    scene.engine().say(ANSWERS["malformed"])


@ends(200, "malformed", "final_chunk", "engine_malformed", attempts="malformed")
def a_stream_that_does_not_finish(scene: Scene) -> None:
    scene.begun().say(b"0\r\n\r\n")


@ends(502, "truncated", "upstream_closed", "engine_truncated", attempts="truncated")
def closed_before_its_head(scene: Scene) -> None:
    scene.ask()
    scene.engine().wire.lose()


@ends(502, "truncated", "upstream_closed", "engine_truncated", attempts="truncated")
def closed_within_its_head(scene: Scene) -> None:
    scene.ask()
    engine = scene.engine()
    engine.say(STREAM_HEAD[:30])
    engine.wire.lose()


@ends(502, "truncated", "upstream_closed", "engine_truncated", attempts="truncated")
def closed_within_an_answer(scene: Scene) -> None:
    scene.ask()
    engine = scene.engine()
    engine.say(ANSWERS["half of a body"])
    engine.wire.lose()


@ends(502, "truncated", "upstream_closed", "engine_truncated", attempts="truncated")
def closed_before_the_first_event(scene: Scene) -> None:
    scene.ask(STREAM)
    engine = scene.engine()
    engine.say(STREAM_HEAD)
    engine.wire.lose()


@ends(200, "truncated", "upstream_closed", "engine_truncated", attempts="truncated")
def closed_within_a_stream(scene: Scene) -> None:
    scene.begun().wire.lose()


@ends(502, "broken", "upstream_broke", "engine_broke", attempts="broken")
def reset_before_its_head(scene: Scene) -> None:
    scene.ask()
    scene.engine().wire.lose(clean=False)


@ends(502, "broken", "upstream_broke", "engine_broke", attempts="broken")
def not_http(scene: Scene) -> None:
    scene.ask()
    scene.engine().say(ANSWERS["garbage"])


@ends(200, "broken", "upstream_broke", "engine_broke", attempts="broken")
def reset_within_a_stream(scene: Scene) -> None:
    scene.begun().wire.lose(clean=False)


@ends(200, "broken", "final_chunk", "engine_reported", attempts="broken")
def an_error_event(scene: Scene) -> None:
    scene.begun().say(ERROR + END)


@ends(200, "broken", "upstream_closed", "engine_reported", attempts="broken")
def an_error_event_then_the_close(scene: Scene) -> None:
    engine = scene.begun()
    engine.say(ERROR)
    engine.wire.lose()


@ends(502, "broken", "upstream_broke", "engine_refused", attempts="broken", reached=0)
def refused(scene: Scene) -> None:
    scene.ask()
    scene.bench.reactor.connects[-1].refused()


@ends(502, "broken", "upstream_broke", "engine_refused", attempts="broken", reached=0)
def a_connect_that_takes_too_long(scene: Scene) -> None:
    scene.ask()
    scene.bench.reactor.connects[-1].refused(late=True)


@ends(502, "broken", "upstream_broke", "engine_tls", attempts="broken", reached=0)
def no_tls_where_it_should_be(scene: Scene) -> None:
    scene.set_up(replica("gpu0", tls=ReplicaTlsSettings()))
    scene.ask()
    connection, wire = scene.bench.reactor.connects[-1].made()
    connection.dataReceived(b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n")
    scene.bench.reactor.advance(0)
    assert wire.closing
    wire.lose()


# -- once more -------------------------------------------------------------------------------------------------------


@ends(200, "complete", "final_chunk", attempts="broken complete/retry")
def broken_then_whole_elsewhere(scene: Scene) -> None:
    scene.set_up(replica("a"), replica("b"))
    scene.ask()
    scene.engine().wire.lose(clean=False)
    scene.engine().say(ANSWERS["json"])


@ends(200, "complete", "final_chunk", attempts="broken complete", reached=1)
def refused_then_whole_elsewhere(scene: Scene) -> None:
    scene.set_up(replica("a"), replica("b"))
    scene.ask()
    scene.bench.reactor.connects[-1].refused()
    scene.engine().say(ANSWERS["json"])


@ends(200, "complete", "final_chunk", attempts="complete complete/retry")
def declined_then_whole_elsewhere(scene: Scene) -> None:
    scene.set_up(replica("a"), replica("b"))
    scene.ask()
    scene.engine().say(ANSWERS["429"])
    scene.engine().say(ANSWERS["json"])


@ends(502, "truncated", "upstream_closed", "engine_truncated", attempts="broken truncated/retry")
def neither_of_two(scene: Scene) -> None:
    scene.set_up(replica("a"), replica("b"))
    scene.ask()
    scene.engine().wire.lose(clean=False)
    scene.engine().wire.lose()


@ends(502, "broken", "upstream_broke", "engine_broke", attempts="broken")
def no_more_attempts(scene: Scene) -> None:
    scene.set_up(replica("a"), replica("b"), retry=Retry(attempts=1))
    scene.ask()
    scene.engine().wire.lose(clean=False)


@ends(200, "complete", "final_chunk", attempts="truncated complete/resend", reached=1)
def an_idle_connection_that_was_closed(scene: Scene) -> None:
    scene.ask()
    engine = scene.engine()
    engine.say(ANSWERS["json"])
    scene.bench.log.seen.clear()  # that was another exchange
    scene.bench.metrics.requests.clear()
    scene.bench.metrics.attempts.clear()
    scene.bench.metrics.models.clear()
    scene.wire.take()
    scene.ask()
    engine.wire.lose()
    scene.engine().say(ANSWERS["json"])


def hedged(scene: Scene) -> tuple[Engine, Engine]:
    """A stream that is late, and a second attempt beside it."""
    scene.set_up(replica("a"), replica("b"), hedge=HedgeSettings(enabled=True, budget=1.0))
    hedges = scene.bench.exchanges.hedges
    assert hedges is not None
    for _ in range(32):
        hedges.began("m", len(STREAM), 0.05)
    scene.ask(STREAM)
    first = scene.engine()
    scene.bench.advance(1)
    return first, scene.engine()


@ends(200, "complete", "final_chunk", attempts="abandoned complete/hedge")
def a_second_attempt_that_is_first(scene: Scene) -> None:
    _, second = hedged(scene)
    second.say(STREAM_HEAD + EVENT + STOP + END)


@ends(200, "complete", "final_chunk", attempts="complete abandoned/hedge")
def a_second_attempt_that_is_second(scene: Scene) -> None:
    first, _ = hedged(scene)
    first.say(STREAM_HEAD + EVENT + STOP + END)


@ends(499, "abandoned", "client_gone", "client_gone", attempts="abandoned abandoned/hedge")
def gone_while_two_are_asked(scene: Scene) -> None:
    hedged(scene)
    scene.wire.lose()


# -- the client's fault ----------------------------------------------------------------------------------------------


@ends(400, "refused", None, "client_malformed_request")
def not_a_request(scene: Scene) -> None:
    scene.send(b"\0\0\r\n\r\n")


@ends(431, "refused", None, "client_malformed_request")
def a_head_that_is_too_large(scene: Scene) -> None:
    scene.ask(b"{}", b"x: " + b"x" * 40000)


@ends(400, "refused", None, "client_malformed_request")
def a_body_whose_framing_breaks(scene: Scene) -> None:
    scene.send(b"POST /v1/completions HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\n")


@ends(400, "refused", None, "client_malformed_request")
def a_timeout_that_is_no_number(scene: Scene) -> None:
    scene.ask(b'{"model":"m"}', b"x-request-timeout: soon")


@ends(400, "refused", None, "client_malformed_request")
def a_class_that_there_is_not(scene: Scene) -> None:
    scene.ask(b'{"model":"m"}', b"x-aibrix-priority: urgent")


@ends(400, "refused", None, "client_invalid_body")
def a_body_that_is_no_json(scene: Scene) -> None:
    scene.ask(b'{"model":')


@ends(200, "complete", "final_chunk", attempts="complete")
def an_argument_for_the_template_that_is_taken(scene: Scene) -> None:
    scene.set_up(limits=Limits(template_names=("enable_thinking",)))
    scene.ask(b'{"model":"m","messages":[],"chat_template_kwargs":{"enable_thinking":false}}')
    scene.engine().say(ANSWERS["json"])


@ends(400, "refused", None, "client_invalid_body")
def an_argument_for_the_template_that_is_not(scene: Scene) -> None:
    scene.set_up(limits=Limits(template_names=("enable_thinking",)))
    scene.ask(b'{"model":"m","messages":[],"chat_template_kwargs":{"enable_thinking":false,"tokenize":true}}')


@ends(413, "refused", None, "client_body_too_large")
def a_body_that_is_too_large(scene: Scene) -> None:
    scene.set_up(limits=Limits(body_bytes=1024))
    scene.ask(b"x" * 2000)


@ends(415, "refused", None, "client_unsupported_media")
def a_body_that_is_coded(scene: Scene) -> None:
    scene.ask(b"{}", b"content-encoding: gzip")


@ends(415, "refused", None, "client_unsupported_media")
def a_body_of_another_kind(scene: Scene) -> None:
    scene.ask(b"{}", b"content-type: text/xml")


@ends(404, "refused", None, "client_unknown_path")
def a_path_that_there_is_not(scene: Scene) -> None:
    scene.ask(path=b"/nowhere")


@ends(405, "refused", None, "client_method_not_allowed")
def another_method(scene: Scene) -> None:
    scene.send(b"GET /v1/completions HTTP/1.1\r\nhost: a\r\n\r\n")


@ends(404, "refused", None, "client_unknown_model")
def a_model_that_nobody_serves(scene: Scene) -> None:
    scene.ask(b'{"model":"x"}')


@ends(404, "refused", None, "client_unknown_model")
def a_document_of_a_model_that_nobody_serves(scene: Scene) -> None:
    scene.send(b"GET /v1/models/x HTTP/1.1\r\nhost: a\r\n\r\n")


@ends(400, "refused", None, "policy_unknown")
def a_policy_that_there_is_not(scene: Scene) -> None:
    scene.ask(b'{"model":"m"}', b"routing-strategy: nonsense")


@ends(400, "refused", None, "policy_unknown_profile")
def a_profile_that_there_is_not(scene: Scene) -> None:
    scene.ask(b'{"model":"m"}', b"config-profile: nonsense")


@ends(400, "refused", None, "policy_invalid_filter")
def a_filter_that_is_none(scene: Scene) -> None:
    scene.ask(b'{"model":"m"}', b"external-filter: no sense")


@ends(408, "refused", None, "client_too_slow")
def a_head_that_does_not_end(scene: Scene) -> None:
    scene.send(b"POST /v1")
    scene.bench.advance(11)


@ends(408, "refused", None, "client_too_slow")
def a_body_that_does_not_end(scene: Scene) -> None:
    scene.set_up(limits=Limits(client_min_rate=0))
    scene.send(post()[:-1])
    scene.bench.advance(61)


@ends(408, "refused", None, "client_too_slow")
def a_body_that_drips(scene: Scene) -> None:
    scene.send(post(b"x" * 5000)[:-4900])
    scene.bench.advance(10)


# -- the client left -------------------------------------------------------------------------------------------------


@ends(499, "abandoned", "client_gone", "client_gone")
def gone_within_its_body(scene: Scene) -> None:
    scene.send(post()[:-1])
    scene.wire.lose()


@ends(499, "abandoned", "client_gone", "client_gone")
def gone_within_a_body_for_us(scene: Scene) -> None:
    scene.send(b"GET /healthz HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\n{")
    scene.wire.lose()


@ends(499, "abandoned", "client_gone", "client_gone")
def gone_while_it_waits(scene: Scene) -> None:
    scene.full()
    scene.ask()
    scene.bench.advance(1)
    scene.wire.lose()


@ends(499, "abandoned", "client_gone", "client_gone", attempts="abandoned", reached=0)
def gone_while_it_is_connected(scene: Scene) -> None:
    scene.ask()
    scene.wire.lose()


@ends(499, "abandoned", "client_gone", "client_gone", attempts="abandoned")
def gone_before_a_head(scene: Scene) -> None:
    scene.ask()
    scene.engine()
    scene.wire.lose()


@ends(499, "abandoned", "client_gone", "client_gone", attempts="abandoned")
def gone_before_the_first_event(scene: Scene) -> None:
    scene.ask(STREAM)
    scene.engine().say(STREAM_HEAD)
    scene.wire.lose()


@ends(499, "abandoned", "client_gone", "client_gone", attempts="abandoned")
def gone_within_an_answer(scene: Scene) -> None:
    scene.ask()
    scene.engine().say(ANSWERS["half of a body"])
    scene.wire.lose(clean=False)


@ends(499, "abandoned", "client_gone", "client_gone", attempts="abandoned")
def gone_within_a_stream(scene: Scene) -> None:
    scene.begun()
    scene.wire.lose()


@ends(499, "abandoned", "client_gone", "engine_reported", attempts="abandoned")
def gone_when_it_read_of_the_engines_failure(scene: Scene) -> None:
    scene.begun().say(ERROR)
    scene.wire.lose()


@ends(499, "abandoned", "client_gone", "client_gone", attempts="abandoned")
def gone_beneath_the_write_of_an_event(scene: Scene) -> None:
    engine = scene.begun()
    scene.wire.beneath_write = scene.wire.lose
    engine.say(EVENT)


@ends(499, "abandoned", "client_gone", "client_gone", attempts="broken")
def gone_before_it_is_tried_again(scene: Scene) -> None:
    scene.set_up(replica("a"), replica("b"), retry=Retry(backoff=1.0))
    scene.ask()
    scene.engine().wire.lose(clean=False)
    scene.wire.lose()


@ends(499, "abandoned", "client_gone", "client_gone", attempts="abandoned")
def it_takes_nothing(scene: Scene) -> None:
    scene.set_up(timeouts=Timeouts(client_stall=5.0, stall=2.0))
    scene.begun()
    scene.client.pauseProducing()
    scene.bench.advance(6)
    scene.test.assertEqual(scene.bench.log.seen[0].reason, "the client took nothing for 5 s")


def drained(scene: Scene) -> Engine:
    """The client of a replica that reads what nobody wants has left."""
    scene.set_up(replica("gpu0", drains=True))
    engine = scene.begun()
    scene.wire.lose()
    scene.test.assertEqual(scene.bench.log.seen, [])
    return engine


@ends(499, "abandoned", "final_chunk", "client_gone", attempts="complete")
def gone_and_read_to_the_end(scene: Scene) -> None:
    drained(scene).say(EVENT + STOP + END)


@ends(499, "abandoned", "upstream_broke", "engine_broke", attempts="broken")
def gone_and_broken_then(scene: Scene) -> None:
    drained(scene).wire.lose(clean=False)


@ends(499, "abandoned", "deadline", "engine_timeout", attempts="timed_out")
def gone_and_late_then(scene: Scene) -> None:
    drained(scene)
    scene.bench.advance(200)


# -- deadlines -------------------------------------------------------------------------------------------------------


@ends(504, "timed_out", "deadline", "engine_timeout", attempts="timed_out")
def no_first_byte(scene: Scene) -> None:
    scene.ask()
    scene.engine()
    scene.bench.advance(4)


@ends(504, "timed_out", "deadline", "engine_timeout", attempts="timed_out")
def no_first_event(scene: Scene) -> None:
    scene.ask(STREAM)
    scene.engine().say(STREAM_HEAD)
    scene.bench.advance(4)


@ends(200, "timed_out", "deadline", "engine_timeout", attempts="timed_out")
def a_stall(scene: Scene) -> None:
    scene.begun()
    scene.bench.advance(3)


@ends(504, "timed_out", "deadline", "engine_timeout", attempts="timed_out")
def a_stall_within_an_answer(scene: Scene) -> None:
    scene.ask()
    scene.engine().say(ANSWERS["half of a body"])
    scene.bench.advance(3)


@ends(200, "timed_out", "deadline", "engine_timeout", attempts="timed_out")
def not_whole_in_time(scene: Scene) -> None:
    engine = scene.begun()
    for _ in range(7):
        engine.say(EVENT)
        scene.bench.advance(1)


@ends(504, "timed_out", "deadline", "engine_timeout", attempts="timed_out", reached=0)
def not_connected_in_time(scene: Scene) -> None:
    scene.ask(b'{"model":"m"}', b"x-request-timeout: 1")
    scene.bench.advance(2)


@ends(504, "refused", None, "engine_timeout")
def not_begun_in_time(scene: Scene) -> None:
    scene.full()
    scene.ask(b'{"model":"m"}', b"x-request-timeout: 1")
    scene.bench.advance(2)


# -- the gateway -----------------------------------------------------------------------------------------------------


@ends(503, "refused", None, "gateway_no_replica")
def none_is_up(scene: Scene) -> None:
    scene.set_up(scene.probed(), queue=QueueSettings(wait_down=2.0))
    scene.bench.replicas[0].health.refused("gone", 0.0, scene.bench.exchanges.rng)
    scene.ask()
    scene.bench.advance(3)


@ends(503, "refused", None, "gateway_no_replica", attempts="broken", reached=0)
def refused_and_none_is_up_then(scene: Scene) -> None:
    scene.set_up(scene.probed(), queue=QueueSettings(wait_down=2.0))
    scene.ask()
    scene.bench.reactor.connects[-1].refused()
    scene.bench.advance(4)


@ends(200, "refused", None, "gateway_no_replica")
def none_is_up_after_a_comment(scene: Scene) -> None:
    scene.set_up(scene.probed(), queue=QueueSettings(wait_down=2.0), model=(ModelSettings(name="m", ping=1.0),))
    scene.bench.replicas[0].health.refused("gone", 0.0, scene.bench.exchanges.rng)
    scene.ask(STREAM)
    scene.bench.advance(3)


@ends(503, "refused", None, "gateway_no_replica", attempts="broken", reached=1)
def broken_and_none_is_up_then(scene: Scene) -> None:
    scene.set_up(scene.probed(), queue=QueueSettings(wait_down=2.0))
    scene.ask()
    engine = scene.engine()
    scene.bench.replicas[0].health.refused("gone", 0.0, scene.bench.exchanges.rng)
    engine.wire.lose(clean=False)
    scene.bench.advance(4)


def answered_after_a_comment(scene: Scene, raw: bytes) -> None:
    scene.set_up(scene.probed(), model=(ModelSettings(name="m", ping=1.0),), retry=Retry(attempts=1))
    health, now = scene.bench.replicas[0].health, scene.bench.reactor.seconds
    health.refused("gone", now(), scene.bench.exchanges.rng)
    scene.ask(STREAM)
    scene.bench.advance(2)
    health.probed_with(ProbeResult.PASSED, "", now(), in_flight=0)
    scene.bench.publish()
    scene.bench.advance(1)
    scene.engine().say(raw)


@ends(200, "broken", "final_chunk", "engine_reported", attempts="complete")
def the_engines_own_refusal_after_a_comment(scene: Scene) -> None:
    answered_after_a_comment(scene, ANSWERS["400"])


@ends(200, "broken", "final_chunk", "engine_reported", attempts="complete")
def no_stream_after_a_comment(scene: Scene) -> None:
    answered_after_a_comment(scene, ANSWERS["json"])


@ends(429, "refused", None, "gateway_queue_full")
def no_place_to_wait(scene: Scene) -> None:
    scene.full(queue=QueueSettings(max_bytes=1))
    scene.ask()


@ends(503, "refused", None, "gateway_queue_timeout")
def all_are_busy(scene: Scene) -> None:
    scene.full(queue=QueueSettings(wait_busy=2.0))
    scene.ask()
    scene.bench.advance(3)


@ends(503, "refused", None, "gateway_draining")
def stopping_already(scene: Scene) -> None:
    scene.bench.exchanges.refusing = True
    scene.ask()


@ends(503, "timed_out", "deadline", "gateway_draining", attempts="timed_out")
def stopping_before_an_answer(scene: Scene) -> None:
    scene.ask()
    scene.engine()
    scene.client.expire("the gateway is stopping")


@ends(200, "timed_out", "deadline", "gateway_draining", attempts="timed_out")
def stopping_within_a_stream(scene: Scene) -> None:
    scene.begun()
    scene.client.expire("the gateway is stopping")


@ends(503, "refused", None, "gateway_draining")
def stopping_within_a_body(scene: Scene) -> None:
    scene.send(post()[:-1])
    scene.client.expire("the gateway is stopping")


@ends(503, "refused", None, "gateway_too_many_connections")
def too_many(scene: Scene) -> None:
    scene.set_up(limits=Limits(connections=1))
    scene.bench.exchanges.spoke(scene.client)
    scene.client, scene.wire = scene.bench.client()


@ends(503, "refused", None, "gateway_too_many_requests")
def too_many_at_once(scene: Scene) -> None:
    scene.set_up(limits=Limits(in_flight=1))
    book = scene.bench.exchanges.book
    other = Exchange("other", "", "", "", "", Stamps(0.0))
    book.begun(other)
    scene.ask()
    book.over(other)


@ends(503, "refused", None, "gateway_overloaded")
def overloaded(scene: Scene) -> None:
    scene.bench.exchanges.overload.uses(0.95)
    scene.ask()


@ends(503, "refused", None, "gateway_memory_full")
def no_memory_left(scene: Scene) -> None:
    scene.set_up(limits=Limits(memory_bytes=1000))
    scene.bench.exchanges.memory.share().set(0, 0, 0, 950)
    scene.ask()


class Defect(Exception):
    """One of ours."""


def _raise(*_: object, **__: object) -> Any:
    raise Defect


@ends(500, "refused", None, "gateway_internal")
def a_defect_while_it_is_admitted(scene: Scene) -> None:
    scene.breaks(scene.bench.exchanges.chooser, "choose")
    scene.ask()


@ends(500, "broken", "upstream_broke", "gateway_internal", attempts="broken", reached=0)
def a_defect_while_it_is_sent(scene: Scene) -> None:
    scene.breaks(scene.bench.pool, "connect")
    scene.ask()


@ends(500, "broken", "upstream_broke", "gateway_internal", attempts="broken")
def a_defect_before_its_answer(scene: Scene) -> None:
    scene.ask()
    engine = scene.engine()
    scene.breaks(ResponseParser, "feed")
    engine.say(ANSWERS["json"])


@ends(200, "broken", "upstream_broke", "gateway_internal", attempts="broken")
def a_defect_within_a_stream(scene: Scene) -> None:
    engine = scene.begun()
    scene.breaks(ResponseParser, "feed")
    engine.say(EVENT)


# -- what no engine has a part in ------------------------------------------------------------------------------------


@ends(200, "complete")
def alive(scene: Scene) -> None:
    scene.send(b"GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n")


@ends(503, "complete")
def not_ready(scene: Scene) -> None:
    scene.bench.exchanges.draining = True
    scene.send(b"GET /readyz HTTP/1.1\r\nhost: a\r\n\r\n")


@ends(204, "complete")
def options(scene: Scene) -> None:
    scene.send(b"OPTIONS /v1/completions HTTP/1.1\r\nhost: a\r\n\r\n")


class EndingTests(SynchronousTestCase):
    """The table."""

    def test_each(self) -> None:
        """One line, one count, and both say it as it was."""
        for row in ROWS:
            scene = Scene(self)
            scene.set_up(replica("gpu0"))
            row.how(scene)
            self.flushLoggedErrors(Defect)
            scene.mend()
            self.check(row, scene, row.how.__name__)

    def check(self, row: Row, scene: Scene, name: str) -> None:
        bench, metrics = scene.bench, scene.bench.metrics
        self.assertEqual(len(bench.log.seen), 1, name)
        exchange = bench.log.seen[0]
        line = record_of(exchange)
        said = (line["status"], line["outcome"], line["cause"], line["error"], line["attempts"])
        self.assertEqual(said, (row.status, row.outcome, row.cause, row.error, row.reached), name)
        self.assertEqual(bool(line["reason"]), bool(row.error), name)

        told = [_told(record.kind, record.outcome) for record in exchange.tries]
        self.assertEqual(" ".join(told), row.attempts, name)
        if line["tries"] is not None:
            self.assertEqual([_told(each["kind"], each["outcome"]) for each in line["tries"]], told, name)
        else:
            self.assertIn(row.attempts, ("", "complete"), name)

        key = (line["model"] or "other", line["route"], row.status, row.outcome)
        self.assertEqual(metrics.requests, {key: 1}, name)
        self.assertEqual(metrics.errors, {(row.error,): 1} if row.error else {}, name)
        counted = Counter[str]()
        for (_, outcome), count in metrics.attempts.items():
            counted[outcome] += count
        self.assertEqual(counted, Counter(record.outcome for record in exchange.tries), name)
        self.assertEqual(scene.durations, 1 if row.reached else 0, name)

        gone = row.status == 499
        statuses = re.findall(rb"HTTP/1\.1 (\d{3}) ", scene.wire.written)
        self.assertEqual(statuses[1:] if gone else statuses, [] if gone else [b"%d" % row.status], name)
        self.assertAlmostEqual(sum(line["phases"].values()), line["duration_s"], places=4, msg=name)
        self.assertEqual((bench.exchanges.under_way, scene.leased), (0, scene.others), name)

    def test_every_error_is_in_it(self) -> None:
        """A class that is not has no test that says where it is counted."""
        self.assertEqual({kind.error_type for kind in _leaves()}, {row.error for row in ROWS if row.error})

    def test_a_defect_is_not_the_replicas(self) -> None:
        """However many there are: no breaker counts them, and nothing is said of it."""
        scene = Scene(self)
        scene.set_up(scene.probed())
        for _ in range(20):
            scene.client, scene.wire = scene.bench.client()
            a_defect_before_its_answer(scene)
            scene.mend()
        self.assertEqual(len(self.flushLoggedErrors(Defect)), MOST)
        self.assertEqual(scene.bench.metrics.errors, {("gateway_internal",): 20})
        (only,) = scene.bench.replicas
        self.assertEqual((only.health.breaker.state, only.last_error), (BreakerState.CLOSED, ""))

    def test_a_request_that_never_came(self) -> None:
        """A client that connects, or sends half of a head, and leaves: no exchange."""
        for sent in (b"", b"POST /v1/comp"):
            scene = Scene(self)
            scene.set_up(replica("gpu0"))
            if sent:
                scene.send(sent)
            scene.wire.lose()
            self.assertEqual((scene.bench.log.seen, scene.bench.metrics.requests), ([], {}))


def _told(kind: str, outcome: str | None) -> str:
    return f"{outcome}" if kind == Kind.FIRST else f"{outcome}/{kind}"
