"""Bugs of one line each, in the kinds of places where gateways have had theirs; the simulation finds every one.

Each is a line of the real code, what it becomes, and a seed that is known to show it.  Where a kind of bug was seen, it
is said in a few words: what the peers' users reported, or what a review of their sources found.
"""

from __future__ import annotations

from typing import Final, NamedTuple


class Mutation(NamedTuple):
    """One bug.

    @ivar file: below the package.
    @ivar old: the line, without its indentation; it is there once.
    @ivar new: what it becomes.
    @ivar why: what goes wrong then.
    @ivar seed: a run in which that is seen.
    """

    name: str
    file: str
    old: str
    new: str
    why: str
    seed: int


_ASSEMBLY: Final = "domain/assembly.py"
_ATTEMPT: Final = "service/exchange/attempt.py"
_CONTINUATION: Final = "wire/continuation.py"
_CLIENT: Final = "service/downstream/protocol.py"
_EXCHANGES: Final = "service/exchange/exchanges.py"
_HEALER: Final = "service/exchange/healer.py"
_POOL: Final = "service/upstream/pool.py"
_REPLY: Final = "service/downstream/reply.py"
_RESPELL: Final = "wire/respell.py"
_RETRY: Final = "policy/retry.py"
_RUN: Final = "service/exchange/run.py"
_SETTLE: Final = "service/exchange/settle.py"
_STREAM: Final = "wire/stream.py"
_WAITER: Final = "service/exchange/waiter.py"

MUTATIONS: Final = (
    # -- counts in flight that never go back ------------------------------------------------------------------
    Mutation("lease_kept", _SETTLE, "attempt.lease.release()", "pass", "nothing is ever given back", 0),
    Mutation(
        "lease_kept_unconnected", _SETTLE, "attempt.lease.release()", "attempt.connection and attempt.lease.release()",
        "a refused connect stays in flight for ever, and skews who is chosen", 7,
    ),
    Mutation(
        "watched_after_the_end", _CLIENT, "self._slot.discard(self)", "pass",
        "the wheel keeps every client that ever was: memory that only goes up", 0,
    ),
    Mutation(
        "place_kept", _WAITER, "self._exchanges.waiting.leave(ticket)", "pass",
        "who waited and left keeps a place, until there is none for anybody", 74,
    ),
    Mutation(
        "timer_kept", _WAITER, "timer.cancel()", "pass",
        "a request that is over is looked after once more, and answered twice", 272,
    ),
    Mutation("called_in_vain", "service/exchange/waiting.py", "ticket.owner.called()", "pass",
             "who is next is taken off the list and told nothing: it waits for ever", 2),
    # -- clients who leave while engines work -----------------------------------------------------------------
    Mutation("not_cancelled", _RUN, "attempt.end(Cause.CLIENT_GONE)", "pass",
             "the engine goes on for a client who left", 94),
    Mutation("not_cancelled_connecting", _ATTEMPT, "connecting.cancel()", "pass",
             "a request of a client who left is sent once the connection is there", 368),
    Mutation("rival_not_cancelled", _RUN, "loser.end(Cause.CLIENT_GONE)", "pass",
             "of two attempts the second goes on after the first was taken", 0),
    # -- ends that are told wrongly ---------------------------------------------------------------------------
    Mutation("cut_looks_whole", _RUN, "elif ending.framed_whole and answer is not None:", "elif answer is not None:",
             "a stream that was cut gets its last chunk", 2),
    Mutation("close_looks_whole", _ASSEMBLY,
             "return Outcome.COMPLETE if close_delimited and whole else Outcome.TRUNCATED",
             "return Outcome.COMPLETE if close_delimited else Outcome.TRUNCATED",
             "a close ends a body that was to be ended by one, however much of it is missing", 2),
    Mutation("half_json_is_whole", _ASSEMBLY,
             "return Outcome.MALFORMED if payload is _CUT else Outcome.COMPLETE", "return Outcome.COMPLETE",
             "half of a document, framed as whole, is counted as an answer", 11),
    Mutation("goes_on_after_a_cut", _REPLY, "self._line.reply_cut()", "self._line.reply_over(keep=self._keep)",
             "the next answer is written into the middle of one that was cut", 11),
    Mutation("left_is_answered", _SETTLE,
             "exchange.status = ClientGone.status if exchange.outcome is Outcome.ABANDONED else reply.status",
             "exchange.status = reply.status", "who left is counted as answered", 94),
    # -- repeated, or not ---------------------------------------------------------------------------------
    Mutation("again_after_the_first_byte", _RUN,
             "progress = Progress.DELIVERED if self._delivered else progress", "pass",
             "a stream that broke is asked for anew: its text comes twice", 11),
    Mutation("stateful_again", _RETRY, "if stateful:", "if False:", "what an engine keeps is sent to a second one", 75),
    Mutation("never_elsewhere", _RETRY,
             "may_work = outcome is Outcome.COMPLETE and (status == FAILED or status in DECLINED)", "may_work = False",
             "a busy replica's 429 is the client's while another one is free", 4),
    Mutation("no_resend", _RETRY,
             "return Again.RESEND if reused and progress is Progress.NOTHING_RECEIVED else Again.RETRY",
             "return Again.NO if reused and progress is Progress.NOTHING_RECEIVED else Again.RETRY",
             "an engine that closes an idle connection as a request comes costs that request", 1),
    Mutation("without_end", _RUN,
             "return self.exchange.attempts < self.settings.retry.attempts and exchanges.budget.take(exchanges.wheel.now)",
             "return exchanges.budget.take(exchanges.wheel.now)", "there are more attempts than were allowed", 144),
    # -- streams that go on elsewhere -----------------------------------------------------------------------
    Mutation("from_the_beginning", _CONTINUATION, 'asked["prompt"] = told.prompt_ids + ids',
             'asked["prompt"] = told.prompt_ids', "a stream that broke begins anew in its middle", 11),
    Mutation("too_long", _CONTINUATION, 'asked["max_tokens"] = limit - len(ids)', 'asked["max_tokens"] = limit',
             "a stream that broke becomes longer than was asked for", 11),
    Mutation("too_long_by_text", _CONTINUATION,
             'asked["max_completion_tokens" if "max_completion_tokens" in asked else "max_tokens"] = limit - tokens',
             'asked["max_completion_tokens" if "max_completion_tokens" in asked else "max_tokens"] = limit',
             "the same, by text", 3),
    Mutation("delivered_twice", _RESPELL, 'return self._with_text(self._without_ids(spelled), (text or "")[had:])',
             'return self._with_text(self._without_ids(spelled), text or "")', "what comes again is delivered again", 1115),
    Mutation("another_answer", _RESPELL, "told.template = template = told.template or document",
             "told.template = template = document", "a stream has two ids", 3),
    Mutation("usage_of_the_rest", _RESPELL,
             "self.usage = Usage(given, None if said.output is None else said.output + before, cached)",
             "self.usage = said", "usage is that of the second half", 3),
    Mutation("ids_not_withheld", "wire/kept.py", 'event = b"%bnull%b" % (event[: at - 1], event[end + 1 :])', "pass",
             "a client gets tokens that it did not ask for", 0),
    Mutation("failure_passed_on", _RUN, "may_break=None if attempt.kept is None else partial(self._may_break, attempt),",
             "may_break=None,", "an engine's word that it failed is the client's, though another one could go on", 3),
    Mutation("never_continued", _HEALER, "found = self._find()", "found = Lack.TRIED",
             "streams that broke are given up", 3),
    Mutation("ended_too_early", _HEALER,
             "if closing is not None:", "if closing is not None or self._attempts:",
             "a continuation that breaks, too, is taken for the end", 18),
    # -- connections out of step -----------------------------------------------------------------------------
    Mutation("idle_for_ever", _POOL, "while fresh < len(idle) and now - idle[fresh].idle_since > IDLE_LIMIT_S:",
             "while fresh < len(idle) and False:", "connections that nobody needs are kept for ever", 4),
    Mutation("answers_out_of_order", _CLIENT,
             "while self._reply is None and self._parser.complete and not self._ending:",
             "while self._parser.complete and not self._ending:",
             "of requests that come together each is begun before the one ahead of it is answered", 2),
    # -- bytes -------------------------------------------------------------------------------------------------
    Mutation("usage_not_withheld", _STREAM,
             """return not (self._withhold and b'"usage"' in raw and _is_usage_alone(raw))""", "return True",
             "a client gets an event that it did not ask for", 0),
    Mutation("half_events", _STREAM, "self._dirty = bool(self._parser.rest)", "self._dirty = False",
             "an event that comes in two reads is taken for two", 410),
    Mutation("chunk_size_in_decimal", "wire/framing.py",
             r'_SIZE_LINES: Final = [b"%x\r\n" % size for size in range(4096)]',
             r'_SIZE_LINES: Final = [b"%d\r\n" % size for size in range(4096)]',
             "chunks of ten bytes and more say that they are longer", 0),
    Mutation("alias_spelled_wrongly", "wire/splice.py",
             "return body[:start] + orjson.dumps(model) + body[end:]",
             "return body[:start] + orjson.dumps(model) + body[end + 1 :]", "an edit eats a byte behind it", 0),
    Mutation("tokens_exchanged", _RUN,
             "exchange.input_tokens, exchange.output_tokens, exchange.cached_tokens = answer.usage.told",
             "exchange.output_tokens, exchange.input_tokens, exchange.cached_tokens = answer.usage.told",
             "usage is booked wrongly", 0),
    # -- slow clients, deadlines -----------------------------------------------------------------------------
    Mutation("no_backpressure", _CLIENT, "self._work.pause()", "pass",
             "all of an answer is kept for a client who does not read", 29),
    Mutation("never_resumed", _CLIENT, "self._work.resume()", "pass",
             "an engine is not read any more once its client was slow", 29),
    Mutation("slow_is_idle", _CLIENT, "self._takes(now)", "pass", "who reads slowly is cut off", 1819),
    Mutation("not_closed_when_paused", _CLIENT,
             "self.transport.unregisterProducer()  # Twisted does not close beneath a producer that it has paused",
             "pass", "a connection is not closed though all was sent: its client waits for the rest", 157),
    Mutation("no_total", _RUN, "if self._total_s and now - self.exchange.stamps.accepted > self._total_s:",
             "if False:", "an exchange takes as long as it takes", 774),
    # -- answers in files -------------------------------------------------------------------------------------
    Mutation("file_kept", _CLIENT, "spool.close(Spooled.LEFT)", "pass",
             "a file of whoever left is kept for ever: the disk fills", 688),
    Mutation("over_before_it_is_fed", _RUN, "spool.end(self._taken)", "self._taken()",
             "the client waits for ever for what is in the file", 7),
    Mutation("kept_beside_the_file", "service/downstream/spool.py",
             "elif self._taken == self.size and not self._paused:", "elif self._taken == self.size:",
             "what comes is kept for a client who does not read, beside an empty file", 35),
    Mutation("fed_but_once", "service/downstream/spool.py", "self._taken += len(data)", "self._taken = len(data)",
             "the client gets the same piece again and again", 7),
    # -- counts -----------------------------------------------------------------------------------------------
    Mutation("counted_twice", _EXCHANGES, "self.metrics.count(exchange)",
             "self.metrics.count(exchange), self.metrics.count(exchange)", "there are more requests than came", 0),
)  # fmt: skip
