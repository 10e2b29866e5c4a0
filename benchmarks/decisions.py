"""What a decision costs, by policy: C{python -m benchmarks.decisions}.

64 replicas, each with metrics and something to do; prompts of 2 kB, of which each replica has had a part; beside it
what a prompt costs to read, and one of 400 kB.  Of the processor's time the best of several rounds counts: what is
added to it is other processes.
"""

from __future__ import annotations

import random
import sys
import time
import timeit
from collections.abc import Callable

from aibrix_twisted.domain.engine_load import EngineLoad
from aibrix_twisted.domain.prefix_index import PrefixIndex
from aibrix_twisted.domain.prompt import Prompt, prompt_of
from aibrix_twisted.domain.replica import Replica
from aibrix_twisted.domain.settings import SloSettings
from aibrix_twisted.policy import BLENDED, POLICIES
from aibrix_twisted.policy.ask import Ask
from aibrix_twisted.policy.blend import Blend
from aibrix_twisted.policy.means import Means
from aibrix_twisted.policy.policy import Policy
from aibrix_twisted.policy.scorer import Scorer
from aibrix_twisted.wire.prompt_text import prompt_text
from aibrix_twisted.wire.routes import Dialect

REPLICAS = 64
PROMPT_BYTES = 2048
LONG_BYTES = 400_000

#: Microseconds that a decision may take; of the default policy, and of any other.
BUDGET_US = {"least-request": 5.0}
ANY_BUDGET_US = 60.0

#: Milliseconds that a long prompt may hold up the reactor: its hashes, and looking for them.
LONG_BUDGET_MS = 2.0

NOW = 100.0


def fleet() -> list[Replica]:
    """Replicas with something to do."""
    found = []
    for number in range(REPLICAS):
        replica = Replica(name=f"10.0.0.{number}:8000", url="", host="", port=1, authority=b"", models=("m",))
        replica.load.in_flight = number * 7 % 11
        for at in (NOW - 20, NOW - 10, NOW):
            figures = dict.fromkeys(
                ("running", "waiting", "prompt_tokens", "generation_tokens", "requests", "queue_s", "queue_n",
                 "prefill_s", "prefill_n", "decode_s", "decode_n"), at * (number + 1)
            )  # fmt: skip
            replica.load.read(EngineLoad(at=at, kv_usage=number / REPLICAS, **figures), 3.0)
        found.append(replica)
    return found


def ask() -> Ask:
    """A request."""
    text = b"".join(b"word%04d " % number for number in range(PROMPT_BYTES // 9 + 1))[:PROMPT_BYTES]
    return Ask(prompt_of(text, 128), max_tokens=100, user="user", session_key=b"agent-session-42")


def taught(policy: Policy, replicas: list[Replica], asked: Ask) -> Policy:
    """One that has had something to do: each replica has answered a part of the prompt, and has more to answer."""
    if policy.learns:
        for place, replica in enumerate(replicas):
            blocks = place % (len(asked.prompt.hashes) + 1)
            part = Prompt(asked.prompt.length, asked.prompt.hashes[:blocks], asked.prompt.ends)
            policy.ended(policy.chosen(replica, Ask(part, user=asked.user), NOW - 1), NOW, well=True, usage=None)
            policy.chosen(replica, Ask(Prompt(1000 * place), user=asked.user), NOW - 0.1)
    return policy


def policies() -> dict[str, Policy]:
    """Each by its name; and one of several."""
    means = Means(PrefixIndex(200_000, 1200.0), slo=SloSettings(ttft=1.0))
    made = {name: make(means) for name, make in POLICIES.items()}
    some = [(policy, 1) for name, policy in made.items() if name in BLENDED and isinstance(policy, Scorer)]
    return {
        **made,
        "two of them": Blend("two of them", [pair for pair in some if pair[0].name.startswith("least-re")] * 2),
    }


def best_us(call: Callable[[], object], number: int = 300) -> float:
    """Of several rounds."""
    return min(timeit.repeat(call, number=number, repeat=9, timer=time.thread_time)) / number * 1e6


def cost_us(policy: Policy, replicas: list[Replica], asked: Ask) -> float:
    """Of one decision."""
    rng = random.Random(1)
    return best_us(lambda: policy.choose(replicas, asked, NOW, rng))


def main() -> int:
    """Measure all, and compare with the budgets.

    @return: the exit code: 1 where one is exceeded.
    """
    replicas, asked = fleet(), ask()
    failures = []
    print(f"{REPLICAS} replicas, {PROMPT_BYTES} bytes of prompt: microseconds a decision")
    for name, policy in sorted(policies().items()):
        cost, budget = cost_us(taught(policy, replicas, asked), replicas, asked), BUDGET_US.get(name, ANY_BUDGET_US)
        print(f"  {name:<22} {cost:6.1f}")
        if cost > budget:
            failures.append(f"{name} takes {cost:.1f} us: {budget:g} at most")
    document = {"model": "m", "messages": [{"role": "user", "content": "x" * PROMPT_BYTES}]}
    print(f"  to read the prompt     {best_us(lambda: prompt_of(prompt_text(Dialect.CHAT, document).text, 128)):6.1f}")
    long_ms = _long_ms(replicas)
    print(f"{LONG_BYTES} bytes of prompt: {long_ms:.2f} ms to read it, and to look for it")
    if long_ms > LONG_BUDGET_MS:
        failures.append(f"a prompt of {LONG_BYTES} bytes takes {long_ms:.2f} ms: {LONG_BUDGET_MS:g} at most")
    for failure in failures:
        print(f"over budget: {failure}", file=sys.stderr)
    return 1 if failures else 0


def _long_ms(replicas: list[Replica]) -> float:
    """Where all of it is known everywhere, so that nothing ends the search."""
    text = "".join(f"word{number:05} " for number in range(LONG_BYTES // 10))
    document = {"model": "m", "messages": [{"role": "user", "content": text}]}
    index = PrefixIndex(1_000_000, 1200.0)
    known = prompt_of(prompt_text(Dialect.CHAT, document).text, 128)
    for replica in replicas:
        index.expect(known, replica, NOW).confirm(NOW)
    return best_us(lambda: index.depths(prompt_of(prompt_text(Dialect.CHAT, document).text, 128), replicas), 3) / 1000


if __name__ == "__main__":
    sys.exit(main())
