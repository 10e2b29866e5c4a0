"""The command line."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from twisted.python.usage import UsageError
from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.tap import Options


class OptionsTests(SynchronousTestCase):
    """What flags become."""

    def flags(self, *words: str) -> dict[str, object]:
        """Parse these."""
        options = Options()
        options.parseOptions(list(words))
        return options.flags()

    def test_nothing(self) -> None:
        """Nothing is set that was not given."""
        self.assertEqual(self.flags(), {})

    def test_all(self) -> None:
        """As the file would say it; lists for what is repeatable."""
        self.assertEqual(
            self.flags(
                "--listen", "tcp:1", "--listen", "tcp:2", "--admin", "none", "--policy", "random", "--store", "memory:",
                "--replica", "http://a:1", "--replica", "gpu1=http://b:1/x=y",
            ),
            {
                "listen": ["tcp:1", "tcp:2"],
                "admin": "none",
                "policy": "random",
                "store": "memory:",
                "replica": [{"url": "http://a:1"}, {"name": "gpu1", "url": "http://b:1/x=y"}],
            },
        )  # fmt: skip
        self.assertEqual(self.flags("--replica", "http://a:1/x=y"), {"replica": [{"url": "http://a:1/x=y"}]})

    def test_workers(self) -> None:
        """As many as make sense; and not with engines that each of them would start anew."""
        self.assertEqual(self.flags("--workers", "4"), {})
        for words in (("--workers", "0"), ("--workers", "33"), ("--workers", "2", "--demo")):
            self.assertRaises(UsageError, self.flags, *words)


class ProcessTests(SynchronousTestCase):
    """As twistd runs it."""

    def run_twistd(self, *words: str) -> subprocess.CompletedProcess[str]:
        """To its end."""
        command = [str(Path(sys.executable).with_name("twistd")), "-n", "--pidfile=", "aibrix-gateway", *words]
        with tempfile.TemporaryDirectory() as folder:
            return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd=folder)

    def test_bad_settings_end_with_2(self) -> None:
        """One line for each, on the standard error, and no traceback."""
        done = self.run_twistd("--policy", "best", "--listen", "tpc:1")
        self.assertEqual(done.returncode, 2)
        lines = done.stderr.strip().splitlines()
        self.assertEqual(len(lines), 2, done.stderr)
        self.assertTrue(any(line.startswith("--policy: found 'best', expected one of") for line in lines))

    def test_bad_flags_end_with_an_error(self) -> None:
        """Those that twistd itself parses."""
        done = self.run_twistd("--nonsense")
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("nonsense", done.stdout + done.stderr)

    def test_a_port_that_is_taken(self) -> None:
        """Ends the start, and names the port."""
        import socket

        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            done = self.run_twistd("--listen", f"tcp:{port}:interface=127.0.0.1", "--admin", "none")
        self.assertNotEqual(done.returncode, 0)
        self.assertIn(str(port), done.stdout + done.stderr)
