"""C{aibrixctl install}: the gateway as a service of systemd."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from importlib.resources import files
from pathlib import Path
from typing import Final

import orjson

from aibrix_twisted.ctl.desk import Desk
from aibrix_twisted.ctl.failures import Misused

_UNITS: Final = "etc/systemd/system"
_SERVICE: Final = "aibrix-gateway.service"
_SOCKET: Final = "aibrix-gateway.socket"

#: From this version on systemd waits for the end of a reload (systemd.service(5), notify-reload).
_RELOADS: Final = 253


def install(desk: Desk) -> None:
    """Write the units, which are ours, and a configuration where there is none.

    @raise Misused: a file cannot be written, or there is no C{twistd} beside this Python.
    """
    options = desk.options
    root, twistd = Path(options.root), Path(sys.executable).with_name("twistd")
    if not twistd.is_file():
        raise Misused(f"found no {twistd}, expected the gateway to be installed beside this Python")
    units, config = root / _UNITS, root / "etc/aibrix-gateway/gateway.toml"
    wanted = {units / _SERVICE: _started_by(_text(_SERVICE), twistd)}
    if options.socket:
        wanted[units / _SOCKET] = _text(_SOCKET)
    if _version() >= _RELOADS:
        wanted[units / f"{_SERVICE}.d" / "notify-reload.conf"] = _text("notify-reload.conf")
    try:
        if not config.exists():
            wanted[config] = _text("gateway.toml")
        written = [str(path) for path, text in wanted.items() if _write(path, text)]
    except OSError as error:
        raise Misused(f"found {error.filename!r}, expected a file that can be written ({error.strerror})") from None
    # Twisted keeps a list of its plugins beside them, where the service itself may not write.
    subprocess.run((str(twistd), "--help"), stdout=subprocess.DEVNULL, check=False)
    reloaded = options.root == "/" and Path("/run/systemd/system").is_dir()
    if reloaded:
        subprocess.run(("systemctl", "daemon-reload"), check=False)
    said = [f"wrote {path}" for path in written] or ["everything is in place already"]
    if not reloaded:
        said.append("next: systemctl daemon-reload")
    started = f"{_SOCKET} {_SERVICE}" if options.socket else _SERVICE
    said.append(f"next: edit {config}, then systemctl enable --now {started}")
    desk.screen.answer(orjson.dumps({"written": written, "daemon_reloaded": reloaded}).decode(), *said)


def _text(name: str) -> str:
    return files("aibrix_twisted.ctl").joinpath("units", name).read_text("utf-8")


def _started_by(unit: str, twistd: Path) -> str:
    """The unit, with the C{twistd} that is installed here."""
    return re.sub(r"(?m)^ExecStart=\S+", lambda _: f"ExecStart={twistd}", unit, count=1)


def _write(path: Path, text: str) -> bool:
    """Put it there, whole or not at all.

    @return: whether it was not there like that already.
    """
    if path.exists() and path.read_text("utf-8") == text:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.new")
    beside.write_text(text, "utf-8")
    beside.chmod(0o644)
    beside.replace(path)
    return True


def _version() -> int:
    """Of systemd; 0: there is none."""
    command = shutil.which("systemctl")
    if command is None:
        return 0
    said = subprocess.run((command, "--version"), capture_output=True, text=True, check=False)
    found = re.match(r"systemd (\d+)", said.stdout)
    return 0 if found is None else int(found[1])
