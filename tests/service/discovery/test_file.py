"""A watched file: what is published, what is kept, what is said."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet.task import Clock
from twisted.logger import LogLevel, globalLogPublisher
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.domain.settings import ReplicaSettings
from aibrix_twisted.service.discovery import file as file_module
from aibrix_twisted.service.discovery.file import FileSource
from aibrix_twisted.service.discovery.source import ReplicaSource

ONE = '[[replica]]\nurl = "http://a:1"\n'
TWO = ONE + '[[replica]]\nurl = "http://b:1"\n'


class Threads(Clock):
    """A reactor whose threads work at once, or when the test lets them."""

    def __init__(self) -> None:
        super().__init__()
        self.held: list[Callable[[], None]] | None = None

    def getThreadPool(self) -> Threads:
        return self

    def callFromThread(self, call: Callable[..., None], *args: Any) -> None:
        call(*args)

    def callInThreadWithCallback(self, told: Callable[[bool, Any], None], work: Callable[..., Any], *args: Any) -> None:
        def run() -> None:
            try:
                result = work(*args)
            except Exception:  # noqa: BLE001 - as a thread pool does
                told(False, Failure())
            else:
                told(True, result)

        if self.held is None:
            run()
        else:
            self.held.append(run)


class FileSourceTests(SynchronousTestCase):
    """With a real file, and time in our hands."""

    def setUp(self) -> None:
        self.reactor = Threads()
        self.path = Path(tempfile.mkdtemp()) / "replicas.toml"
        self.published: list[list[str]] = []
        self.logged: list[tuple[Any, str]] = []
        globalLogPublisher.addObserver(self.observe)
        self.addCleanup(globalLogPublisher.removeObserver, self.observe)
        self.source = FileSource(str(self.path), self.publish, self.reactor)

    def publish(self, replicas: tuple[ReplicaSettings, ...]) -> None:
        """In the fleet's place."""
        self.published.append([replica.name for replica in replicas])

    def observe(self, event: Any) -> None:
        """Keep what the source logs."""
        if event.get("log_namespace", "").endswith("discovery.file"):
            self.logged.append((event["log_level"], event["log_format"].format(**event)))

    def begin(self, text: str = ONE) -> None:
        """Start with this in the file."""
        self.path.write_text(text)
        self.source.start()
        self.look()

    def look(self, times: int = 3) -> None:
        """Let it look."""
        self.reactor.pump([1.0] * times)

    def replace(self, text: str) -> None:
        """As it should be done: a rename."""
        other = self.path.with_suffix(".new")
        other.write_text(text)
        other.rename(self.path)

    def test_it_is_a_source(self) -> None:
        """As the fleet wants one."""
        source: ReplicaSource = self.source
        self.assertEqual((source.name, source.problem), (f"file {self.path}", ""))

    def test_published_at_once_and_then_when_it_changes(self) -> None:
        """Not because it was written to."""
        self.path.write_text(ONE)
        self.source.start()
        self.assertEqual(self.published, [["a:1"]])
        self.look()
        self.replace(TWO)
        self.look(1)
        self.assertEqual(self.published[1:], [["a:1", "b:1"]])
        self.replace("# the same\n" + TWO)
        self.look()
        self.assertEqual(len(self.published), 2)
        self.replace("replica = []")
        self.look()
        self.assertEqual(self.published[2:], [[]])
        self.assertEqual([level for level, _ in self.logged], [LogLevel.info] * 3)

    def test_read_only_when_it_changed(self) -> None:
        """Twice when it is new, and then no more."""
        reads = []
        read = file_module.read_replicas
        self.patch(file_module, "read_replicas", lambda path: reads.append(path) or read(path))
        self.begin()
        self.look(10)
        self.assertEqual(len(reads), 2)

    def test_a_write_within_one_tick_of_the_clock(self) -> None:
        """The same time, size and inode: seen all the same."""
        self.path.write_text(ONE)
        os.utime(self.path, ns=(1, 1))
        self.source.start()
        self.path.write_text(ONE.replace("//a", "//c"))
        os.utime(self.path, ns=(1, 1))
        self.look()
        self.assertEqual(self.published[-1], ["c:1"])

    def test_replaced_by_one_of_the_same_time_and_size(self) -> None:
        """It is another file."""
        self.begin()
        status = self.path.stat()
        other = self.path.with_suffix(".new")
        other.write_text(ONE.replace("//a", "//c"))
        os.utime(other, ns=(status.st_atime_ns, status.st_mtime_ns))
        other.rename(self.path)
        self.look()
        self.assertEqual(self.published, [["a:1"], ["c:1"]])

    def test_what_cannot_be_used_keeps_the_list(self) -> None:
        """It is named, once; the next good list is taken."""
        self.begin()
        self.logged.clear()
        for text, said in (
            (TWO[:-3], "not TOML"),
            ("", "replica: found nothing, expected a list"),
            (ONE + "wieght = 1\n", ":3: replica[0].wieght: found an unknown key"),
        ):
            self.replace(text)
            self.look(5)
            self.assertIn(said, self.source.problem)
            self.assertEqual([level for level, _ in self.logged], [LogLevel.error], said)
            self.assertIn(str(self.path), self.logged.pop()[1])
        self.path.unlink()
        self.look(5)
        self.assertIn("cannot be read: No such file", self.source.problem)
        self.assertEqual([level for level, _ in self.logged], [LogLevel.error])
        self.assertEqual(self.published, [["a:1"]])
        self.replace(TWO)
        self.look()
        self.assertEqual((self.source.problem, self.published[1:]), ("", [["a:1", "b:1"]]))
        self.assertEqual([level for level, _ in self.logged[1:]], [LogLevel.info] * 2)

    def test_missing_at_the_start(self) -> None:
        """A problem, and no empty list."""
        self.source.start()
        self.assertIn("cannot be read", self.source.problem)
        self.replace(ONE)
        self.look()
        self.assertEqual((self.source.problem, self.published), ("", [["a:1"]]))

    def test_a_key_that_comes_later(self) -> None:
        """The file is right once the key is there, and nobody needs to touch it."""
        key = self.path.with_name("key")
        self.begin(ONE + f'api_key_file = "{key}"\n')
        self.assertIn("expected a file with a key", self.source.problem)
        key.write_text("sk-1\n")
        self.look()
        self.assertEqual((self.source.problem, self.published), ("", [["a:1"]]))

    def test_a_fault_of_our_own(self) -> None:
        """Is a problem as well, and it looks on."""
        self.patch(file_module, "read_replicas", lambda path: 1 / 0)
        self.begin()
        self.assertIn("division by zero", self.source.problem)
        self.assertEqual(self.published, [])

    def test_whoever_is_told_fails(self) -> None:
        """It is logged, and the file is watched on."""
        self.patch(self.source, "_publish", lambda replicas: 1 / 0)
        self.begin()
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.source._publish = self.publish
        self.replace(TWO)
        self.look()
        self.assertEqual(self.published, [["a:1", "b:1"]])

    def test_a_file_system_that_hangs(self) -> None:
        """One look at a time; what it says in the end is taken."""
        self.reactor.held = held = []
        self.begin()
        self.assertEqual((len(held), self.published), (1, []))
        held[0]()
        self.assertEqual(self.published, [["a:1"]])

    def test_stopped(self) -> None:
        """Nothing is published any more, also not what was being read; and it can be started again."""
        self.reactor.held = held = []
        self.begin()
        self.source.stop()
        self.source.stop()
        held.pop()()
        self.look()
        self.assertEqual((held, self.published, self.source.problem), ([], [], ""))
        self.assertEqual(self.reactor.getDelayedCalls(), [])
        self.reactor.held = None
        self.source.start()
        self.assertEqual(self.published, [["a:1"]])
