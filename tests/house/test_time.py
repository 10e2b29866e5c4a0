"""Time is a parameter, and nobody sleeps, in code or in tests (rule 8)."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.house.tree import PACKAGE, calls, imports, modules, tree

#: Who may know a clock, and why.
_CLOCKS = {
    Path(PACKAGE, "ctl", "main.py"): "hands a clock to the command that waits, which has no reactor",
    Path(PACKAGE, "service", "gateway.py"): "hands the wall clock to the access log",
    Path(PACKAGE, "service", "reactor.py"): "a reactor is a clock",
    Path(PACKAGE, "tap.py"): "hands the service manager's clock to whoever speaks to it",
}

#: What tells the time when it is called.
_TELLS = frozenset({"now", "utcnow", "today", "time", "monotonic", "perf_counter", "time_ns", "monotonic_ns"})

#: Tests that watch other processes, which no clock of ours moves.
_OTHER_PROCESSES = (
    Path("tests", "engines"),
    Path("tests", "ops"),
    Path("tests", "packaging"),
    Path("tests", "e2e", "hostile"),
)


class TimeTests(SynchronousTestCase):
    """Clocks and sleep."""

    def test_only_these_know_a_clock(self) -> None:
        """C{time} is imported by those who hand it on, and by nobody else."""
        knowing = {path for path in modules() for _, name in imports(path) if name.partition(".")[0] == "time"}
        self.assertEqual(knowing, set(_CLOCKS))

    def test_nobody_asks_for_the_time(self) -> None:
        """No call of C{datetime.now} and its like: who needs the time is given it."""
        wrong = [
            f"{path}:{line}: {name}"
            for path in modules()
            for line, name, _ in calls(tree(path))
            if name.rpartition(".")[2] in _TELLS and name.partition(".")[0] in ("time", "datetime", "date")
        ]
        self.assertEqual(wrong, [])

    def test_nobody_sleeps(self) -> None:
        """No call of C{sleep} in the package, or in a test of it."""
        wrong = [
            f"{path}:{line}"
            for path in modules(PACKAGE, "tests")
            for line, name, _ in calls(tree(path))
            if name.rpartition(".")[2] == "sleep" and not any(place in path.parents for place in _OTHER_PROCESSES)
        ]
        self.assertEqual(wrong, [])
