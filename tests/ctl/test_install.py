"""The units, put in place."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import orjson
from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.ctl import install
from tests.ctl.script import Ran, Script


class InstallTests(SynchronousTestCase):
    """aibrixctl install, below a folder."""

    def setUp(self) -> None:
        place = tempfile.TemporaryDirectory()
        self.addCleanup(place.cleanup)
        self.root = Path(place.name)
        self.units = self.root / "etc/systemd/system"
        self.version(252)
        self.ran: list[tuple[str, ...]] = []
        self.patch(subprocess, "run", lambda command, **_: self.ran.append(command[1:]))

    def version(self, number: int) -> None:
        """This systemd is here."""
        self.patch(install, "_version", lambda: number)

    def install(self, *options: str) -> Ran:
        """No gateway is asked."""
        return Script().run("install", "--root", str(self.root), *options)

    def test_a_service(self) -> None:
        """It starts the twistd that is installed here; nothing else is asked of anybody."""
        done = self.install()
        self.assertEqual(done.code, 0, done.err)
        unit = (self.units / "aibrix-gateway.service").read_text()
        twistd = Path(sys.executable).with_name("twistd")
        self.assertIn(f"\nExecStart={twistd} -n --pidfile= aibrix-gateway -c /etc/aibrix-gateway/gateway.toml\n", unit)
        self.assertEqual([path.name for path in self.units.iterdir()], ["aibrix-gateway.service"])
        self.assertIn("[[replica]]", (self.root / "etc/aibrix-gateway/gateway.toml").read_text())
        self.assertIn("next: systemctl daemon-reload\n", done.out)
        self.assertEqual(self.ran, [("--help",)])

    def test_a_socket(self) -> None:
        """If it is wanted."""
        done = self.install("--socket", "--json")
        self.assertIn(str(self.units / "aibrix-gateway.socket"), orjson.loads(done.out)["written"])
        self.assertIn("FileDescriptorName=data\n", (self.units / "aibrix-gateway.socket").read_text())

    def test_reloads_that_are_waited_for(self) -> None:
        """Where this systemd can."""
        self.version(253)
        self.install()
        dropped = self.units / "aibrix-gateway.service.d" / "notify-reload.conf"
        self.assertIn("\nType=notify-reload\nExecReload=\n", dropped.read_text())

    def test_a_second_time(self) -> None:
        """The configuration is the operator's; the units are ours."""
        self.install()
        config = self.root / "etc/aibrix-gateway/gateway.toml"
        config.write_text("mine = 1\n")
        (self.units / "aibrix-gateway.service").write_text("old\n")
        self.assertIn("wrote ", self.install().out)
        self.assertEqual(config.read_text(), "mine = 1\n")
        self.assertNotEqual((self.units / "aibrix-gateway.service").read_text(), "old\n")
        self.assertIn("everything is in place already\n", self.install().out)

    def test_what_cannot_be_written(self) -> None:
        """It is named."""
        (self.root / "etc").write_text("a file\n")
        done = self.install()
        self.assertEqual(done.code, 2)
        self.assertIn("expected a file that can be written", done.err)

    def test_no_twistd(self) -> None:
        """Nothing could be started."""
        self.patch(sys, "executable", str(self.root / "python"))
        done = self.install()
        self.assertEqual(done.code, 2)
        self.assertTrue(done.err.startswith(f"aibrixctl: found no {self.root}/twistd, expected"), done.err)
