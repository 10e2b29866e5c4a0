"""What must not be in any file: this machine, other people's hosts, notes to self, and what is only of interest now."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.house.tree import PACKAGE, files, modules, text

#: Paths that exist on one machine only.
_MACHINE = re.compile(r"(?<![\w./:$}-])/(?:home|root|work|Users|mnt|media)/\w")

#: Notes to self.  Split so that this file has none.
_NOTES = re.compile(r"\b(?:TO" + r"DO|FIX" + r"ME|XX" + r"X|HA" + r"CK)\b")

_HOST = re.compile(r"\bhttps?://([A-Za-z0-9][A-Za-z0-9.-]*\.[A-Za-z]{2,})")

#: Hosts that may be named: what is documented there is what we follow.
_HOSTS = frozenset(
    {
        "www.apache.org", "www.rfc-editor.org", "html.spec.whatwg.org", "docs.twisted.org", "twisted.org",
        "platform.openai.com", "prometheus.io", "www.freedesktop.org", "huggingface.co",
        "json-schema.org",
    }
)  # fmt: skip

#: Names that may be used in examples (RFC 2606, and a rack's own).
_EXAMPLE = re.compile(r"(?:.*\.)?(?:example|test|invalid|localhost|internal)(?:\.(?:com|org|net))?\Z")

#: Names of our own in docstrings.
_LINK = re.compile(r"L\{(" + PACKAGE + r"[\w.]*)\}")


def _texts() -> list[tuple[Path, int, str]]:
    return [
        (path, number, line)
        for path in files()
        if path.name != "LICENSE"
        for number, line in enumerate(text(path).splitlines(), 1)
    ]


class TreeTests(SynchronousTestCase):
    """Every file that git would take."""

    def test_no_path_of_one_machine(self) -> None:
        """No file names somebody's home, or a place that is on one machine only."""
        self.assertEqual([f"{path}:{number}: {line}" for path, number, line in _texts() if _MACHINE.search(line)], [])

    def test_no_notes_to_self(self) -> None:
        """What is still to do is an issue, not a comment."""
        self.assertEqual([f"{path}:{number}: {line}" for path, number, line in _texts() if _NOTES.search(line)], [])

    def test_hosts_are_known(self) -> None:
        """A URL leads to this machine, an example, an address, or a host that is listed here."""
        wrong = [
            f"{path}:{number}: {host}"
            for path, number, line in _texts()
            for host in _HOST.findall(line)
            if host not in _HOSTS and not _EXAMPLE.match(host)
        ]
        self.assertEqual(wrong, [])

    def test_text_is_clean(self) -> None:
        """Lines end with LF, without white space before it, and so do files; recorded bytes are as they were sent."""
        for path in files():
            if path.parts[:2] == ("tests", "corpus"):
                continue
            if path.suffix == ".http":  # as it came from an engine's socket
                continue
            content = text(path)
            self.assertNotIn("\r", content, path)
            self.assertTrue(not content or content.endswith("\n"), path)
            self.assertFalse(re.search(r"[ \t]+$", content, re.MULTILINE), path)


class LinkTests(SynchronousTestCase):
    """What docstrings point to."""

    def test_links_lead_somewhere(self) -> None:
        """Each name of ours in a docstring is a module, or something in one."""
        wrong = []
        for path in modules(PACKAGE, "tests"):
            for target in _LINK.findall(text(path)):
                if not _exists(target):
                    wrong.append(f"{path}: {target}")
        self.assertEqual(wrong, [])


def _exists(target: str) -> bool:
    names = target.split(".")
    for length in range(len(names), 0, -1):
        try:
            found: object = importlib.import_module(".".join(names[:length]))
        except ModuleNotFoundError:
            continue
        for name in names[length:]:
            found = getattr(found, name, None)
        return found is not None
    return False
