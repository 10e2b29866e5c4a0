"""What deploy/ and the Dockerfile say is so."""

from __future__ import annotations

import configparser
import dataclasses
import json
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
import typing
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from aibrix_twisted.domain.settings import ReplicaTlsSettings, Settings
from aibrix_twisted.service.config.load import Source
from aibrix_twisted.service.process.watchdog import HANGS_S

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "deploy" / "gateway.example.toml"
SYSTEMD = ROOT / "deploy" / "systemd"
UNIT = SYSTEMD / "aibrix-gateway.service"
INSTALLED = ROOT / "aibrix_twisted" / "ctl" / "units" / "gateway.toml"
ROTATION = ROOT / "deploy" / "logrotate" / "aibrix-gateway"

#: A line that is a setting, commented out or not.
_SETTING = re.compile(r"(?:# )?([a-z0-9_]+ = .+)")
_COMMENTED = re.compile(r"# ([a-z0-9_]+ = .+)")
_SECTION = re.compile(r"\[\[?([a-z_.]+)\]?\]")

#: Tables within tables that have a header of their own there.
_NESTED = {("replica", "tls"): ReplicaTlsSettings}


def _sections() -> dict[str, dict[str, dataclasses.Field[Any]]]:
    """Keys by section; C{""} is the top of the file."""
    found: dict[str, dict[str, dataclasses.Field[Any]]] = {"": {}}
    hints = typing.get_type_hints(Settings)
    for field in dataclasses.fields(Settings):
        kind = hints[field.name]
        kind = typing.get_args(kind)[0] if typing.get_origin(kind) is tuple else kind
        if dataclasses.is_dataclass(kind):
            found[field.name] = {below.name: below for below in dataclasses.fields(kind)}
        else:
            found[""][field.name] = field
    for (outer, inner), section in _NESTED.items():
        del found[outer][inner]
        found[f"{outer}.{inner}"] = {below.name: below for below in dataclasses.fields(section)}
    return found


def _lines(pattern: re.Pattern[str]) -> list[tuple[str, str, Any]]:
    """Section, key and value of each setting in the example."""
    found, section = [], ""
    for line in EXAMPLE.read_text("utf-8").splitlines():
        if match := _SECTION.fullmatch(line):
            section = match[1]
        elif match := pattern.fullmatch(line):
            ((key, value),) = tomllib.loads(match[1]).items()
            found.append((section, key, value))
    return found


class ExampleTests(SynchronousTestCase):
    """deploy/gateway.example.toml."""

    def test_it_loads(self) -> None:
        """The gateway takes it as it is."""
        settings = Source(str(EXAMPLE), {}).load()
        names = ["127.0.0.1:8000", "gpu1", "gpu2.example.org:8443"]
        self.assertEqual([replica.name for replica in settings.replica], names)

    def test_it_has_every_key(self) -> None:
        """Each setting that there is stands in it once for each table, set or commented out."""
        said: dict[str, set[str]] = {}
        for section, key, _ in _lines(_SETTING):
            said.setdefault(section, set()).add(key)
        self.assertEqual(said, {section: set(keys) for section, keys in _sections().items()})

    def test_what_is_commented_out_is_the_default(self) -> None:
        """Taking the sign of the comment away changes nothing."""
        sections = _sections()
        lines = _lines(_COMMENTED)
        self.assertGreater(len(lines), 20)
        for section, key, value in lines:
            field = sections[section][key]
            default = field.default if field.default_factory is dataclasses.MISSING else field.default_factory()
            self.assertEqual(json.dumps(value), json.dumps(default), f"[{section}] {key}")


class UnitTests(SynchronousTestCase):
    """deploy/systemd/aibrix-gateway.service."""

    def setUp(self) -> None:
        unit = configparser.RawConfigParser(strict=False)
        unit.optionxform = str  # type: ignore[assignment,method-assign]
        unit.read(UNIT, encoding="utf-8")
        self.service = dict(unit["Service"])

    def test_it_waits_for_the_drain(self) -> None:
        """systemd kills later than the gateway has drained by default."""
        self.assertGreater(float(self.service["TimeoutStopSec"]), Settings().timeouts.drain)
        self.assertEqual(self.service["KillSignal"], "SIGTERM")

    def test_a_wrong_file_does_not_restart_for_ever(self) -> None:
        """The exit code of settings that cannot be used prevents a restart."""
        self.assertEqual(self.service["RestartPreventExitStatus"], "2")

    def test_tls_can_work_in_it(self) -> None:
        """pyOpenSSL makes a callback of memory that is written and then executed, so that must not be denied."""
        self.assertNotIn("MemoryDenyWriteExecute", self.service)

    def test_it_tells_systemd(self) -> None:
        """That it is ready, and that it lives; only the main process may, and restarts keep the sockets."""
        self.assertEqual((self.service["Type"], self.service["NotifyAccess"]), ("notify", "main"))
        self.assertGreater(float(self.service["WatchdogSec"]), HANGS_S)
        self.assertGreater(int(self.service["FileDescriptorStoreMax"]), len(Settings().listen))
        self.assertEqual(self.service["Restart"], "on-failure")

    def test_a_drop_in_takes_what_it_replaces_back(self) -> None:
        """With notify-reload systemd itself sends the signal: both would reload twice."""
        text = (SYSTEMD / "notify-reload.conf").read_text("utf-8")
        self.assertTrue(text.endswith("[Service]\nType=notify-reload\nExecReload=\n"))
        self.assertTrue(self.service["ExecReload"].endswith(" -HUP $MAINPID"))

    def test_the_socket_is_what_the_gateway_listens_on(self) -> None:
        """By default."""
        text = (SYSTEMD / "aibrix-gateway.socket").read_text("utf-8")
        self.assertIn("\nListenStream=0.0.0.0:8080\nFileDescriptorName=data\n", text)
        self.assertEqual(Settings().listen, ("tcp:8080",))

    def test_it_has_the_folders_that_it_writes_to(self) -> None:
        """What the configuration that is installed keeps lies where the unit lets it write, and so does what the pages name."""
        name = "aibrix-gateway"
        for kind in ("State", "Logs", "Runtime"):
            self.assertEqual((self.service[f"{kind}Directory"], self.service[f"{kind}DirectoryMode"]), (name, "0750"))
        self.assertEqual(self.service["RuntimeDirectoryPreserve"], "restart")  # as the sockets that lie there
        settings = Source(str(INSTALLED), {}).load()
        kept = (settings.discovery.state_file, settings.prefix_cache.state_file)
        self.assertEqual({str(Path(path).parent) for path in kept}, {f"/var/lib/{name}"})
        self.assertEqual(len(set(kept)), 2)
        self.assertEqual((settings.listen, settings.admin), (Settings().listen, Settings().admin))
        for page in ("aibrixctl.md", "install.md", "systemd.md"):
            self.assertIn(f"unix:/run/{name}/admin.sock", (ROOT / "docs" / page).read_text("utf-8"))

    def test_systemd_understands_it(self) -> None:
        """C{systemd-analyze verify} says nothing: it exits with 0 whatever it says."""
        place = tempfile.TemporaryDirectory()
        self.addCleanup(place.cleanup)
        unit, opened = Path(place.name, UNIT.name), Path(place.name, "aibrix-gateway.socket")
        # The command has to be there; /opt/aibrix-gateway is not on this machine.
        text, count = re.subn(r"(?m)^ExecStart=\S+", f"ExecStart={sys.executable}", UNIT.read_text("utf-8"))
        self.assertEqual(count, 1)
        text, count = re.subn(r"(?m)^#LoadCredential=", "LoadCredential=", text)
        self.assertEqual(count, 1)
        unit.write_text(text)
        opened.write_text((SYSTEMD / opened.name).read_text("utf-8"))
        said = self._analyze("verify", "--man=no", str(unit), str(opened))
        self.assertEqual((said.stdout + said.stderr, said.returncode), ("", 0))

    def test_it_is_confined(self) -> None:
        """systemd's own measure of what the service may do is at most 1.5 of 10."""
        said = self._analyze("security", "--offline=true", "--threshold=15", "--no-pager", str(UNIT))
        self.assertEqual(said.returncode, 0, said.stdout[-300:])

    def _analyze(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = shutil.which("systemd-analyze")
        if command is None:
            raise SkipTest("systemd-analyze is not installed")
        return subprocess.run((command, *arguments), capture_output=True, text=True, check=False, timeout=60)


class RotationTests(SynchronousTestCase):
    """deploy/logrotate/aibrix-gateway."""

    def test_it_rotates_what_the_unit_lets_be_written(self) -> None:
        """The folder is the unit's, the service is it, and lines on their way are not compressed."""
        text, unit = ROTATION.read_text("utf-8"), UNIT.read_text("utf-8")
        folder = re.search(r"^LogsDirectory=(.+)$", unit, re.MULTILINE)
        assert folder is not None
        self.assertIn(f"\n/var/log/{folder[1]}/*.log {{\n", text)
        self.assertIn(f" {UNIT.name}\n", text)
        self.assertIn("\n    delaycompress\n", text)

    def test_logrotate_understands_it(self) -> None:
        """It says what it would do, and nothing else."""
        command = shutil.which("logrotate")
        if command is None:
            raise SkipTest("logrotate is not installed")
        place = tempfile.TemporaryDirectory()
        self.addCleanup(place.cleanup)
        log, config = Path(place.name, "access.log"), Path(place.name, "aibrix-gateway")
        log.write_text("{}\n")
        text = ROTATION.read_text("utf-8").replace("/var/log/aibrix-gateway/*.log", str(log))
        config.write_text(re.sub(r"systemctl kill .*", f"touch {place.name}/told", text))
        for force in ("--verbose", "--force"):  # it does not rotate what it has not seen before
            state = str(Path(place.name, "state"))
            said = subprocess.run(
                (command, force, "--state", state, str(config)), capture_output=True, text=True, check=False, timeout=60
            )
            self.assertEqual((said.returncode, "error" in said.stderr), (0, False), said.stderr)
        self.assertEqual(len(list(Path(place.name).glob("access.log-*"))), 1)
        self.assertTrue(Path(place.name, "told").exists())
        self.assertFalse(log.exists())


class ImageTests(SynchronousTestCase):
    """Dockerfile.  hadolint reads it in C{make lint}."""

    def test_it_starts_what_the_unit_starts(self) -> None:
        """The same environment, the same command, in the form that passes signals on."""
        dockerfile = (ROOT / "Dockerfile").read_text("utf-8")
        entrypoint = re.search(r"^ENTRYPOINT (.*)$", dockerfile, re.MULTILINE)
        assert entrypoint is not None
        command = " ".join(json.loads(entrypoint[1]))
        self.assertIn(f"ExecStart={command} ", UNIT.read_text("utf-8"))

    def test_it_stops_and_shows_its_health_as_the_gateway_does(self) -> None:
        """SIGTERM, not root, the default port, and a path that the gateway has."""
        dockerfile = (ROOT / "Dockerfile").read_text("utf-8")
        self.assertIn("\nSTOPSIGNAL SIGTERM\n", dockerfile)
        self.assertRegex(dockerfile, r"\nUSER [1-9][0-9]*:[1-9]")
        self.assertEqual(Settings().listen, ("tcp:8080",))
        self.assertIn("http://127.0.0.1:8080/healthz", dockerfile)
        self.assertIn("\nEXPOSE 8080 9090\n", dockerfile)

    def test_it_takes_all_that_it_needs(self) -> None:
        """What the Dockerfile copies is what .dockerignore lets through."""
        ignore = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
        taken = {line[1:] for line in ignore if line.startswith("!")}
        copied = re.findall(r"^COPY (?!--from)(.*) \S+$", (ROOT / "Dockerfile").read_text("utf-8"), re.MULTILINE)
        self.assertEqual({name for line in copied for name in line.split()}, taken)
