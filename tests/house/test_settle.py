"""One end, one settle: what an exchange holds is let go of in one place, and no count is held above zero (rule 6)."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.house.tree import PACKAGE, calls, functions, modules, name_of, text, tree

_SETTLE = Path(PACKAGE, "service", "exchange", "settle.py")

#: Leases of virtual requests.
_REPLAY = Path(PACKAGE, "replay", "run.py")

#: Where a count may go down, and why there.
_DECREMENTS = {
    "domain/replica.py:Lease.release": "the lease itself: once, or it raises",
    "domain/waiting_room.py:WaitingRoom._left": "a ticket that was in, and is not there to leave a second time",
    "domain/waiting_room.py:_Line.remove": "the same: a ticket that is not there raises",
    "domain/prefix_index.py:PrefixIndex._forget_oldest": "blocks that it has just deleted",
    "domain/prefix_index.py:PrefixIndex._purge": "the same",
    "policy/prefix_cache_preble.py:_Given.sum": "what has left the window",
    "service/exchange/flights.py:Flights.add": "blocks of what it has just let go of",
    "service/exchange/run.py:Run.attempt_over": "the one resend is the same attempt",
}


class SettleTests(SynchronousTestCase):
    """service/exchange/settle.py."""

    def test_leases_are_released_there(self) -> None:
        """Nobody else calls C{release}."""
        wrong = [
            f"{path}:{line}"
            for path in modules()
            for line, name, _ in calls(tree(path))
            if name.rpartition(".")[2] == "release" and path not in (_SETTLE, _REPLAY)
        ]
        self.assertEqual(wrong, [])
        self.assertEqual(text(_SETTLE).count(".release()"), 1)

    def test_over_is_said_there(self) -> None:
        """Nobody else tells the exchanges that one is over: the meters count each once."""
        callers = {path for path in modules() for _, name, _ in calls(tree(path)) if name == "exchanges.over"}
        self.assertEqual(callers, {_SETTLE})

    def test_counts_go_down_where_they_may(self) -> None:
        """Each decrement of something that outlives its function is one that is written down here."""
        found = set()
        for path in modules(f"{PACKAGE}/domain", f"{PACKAGE}/policy", f"{PACKAGE}/service"):
            for name, function in functions(tree(path)):
                for node in ast.walk(function):
                    if isinstance(node, ast.AugAssign) and isinstance(node.op, ast.Sub):
                        if not isinstance(node.target, ast.Name):
                            found.add(f"{path.relative_to(PACKAGE)}:{name}")
        self.assertEqual(found, set(_DECREMENTS))

    def test_nothing_saturates(self) -> None:
        """No count is kept from going below zero: below zero is a defect, and must be seen."""
        wrong = [
            f"{path}:{number}"
            for path in modules(f"{PACKAGE}/domain", f"{PACKAGE}/policy", f"{PACKAGE}/service")
            for number, line in enumerate(text(path).splitlines(), 1)
            if re.search(r"\bmax\(\s*0\s*,|\.dec\(", line)
        ]
        self.assertEqual(wrong, [])

    def test_each_settlement_has_one_caller(self) -> None:
        """An attempt is settled in one place; an exchange by whoever runs it, and by the door that refuses."""
        callers: dict[str, set[str]] = {"settle_attempt": set(), "settle_exchange": set()}
        for path in modules():
            for name, function in functions(tree(path)):
                for node in ast.walk(function):
                    if isinstance(node, ast.Call) and name_of(node.func) in callers:
                        callers[name_of(node.func)].add(name)
        self.assertEqual(callers["settle_attempt"], {"Run.attempt_over"})
        self.assertEqual(
            callers["settle_exchange"], {"Run._settle", "Local._settle", "Local.client_gone", "Exchanges.refuse"}
        )
