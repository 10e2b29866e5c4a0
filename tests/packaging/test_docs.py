"""What docs/ and README.md say is so."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.util
import io
import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from annotated_types import Ge, Gt, Le, MinLen
from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted import errors, tap
from aibrix_twisted.ctl.options import parse
from aibrix_twisted.domain import settings
from aibrix_twisted.service.admin.openapi import openapi_document
from aibrix_twisted.service.exchange.local import is_local
from aibrix_twisted.service.telemetry.families import FAMILIES
from aibrix_twisted.wire.routes import ROUTES
from tests.packaging.commands import commands, keys, program, url_of
from tools import configuration_page

ROOT = Path(__file__).resolve().parents[2]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))

_LINK = re.compile(r"\]\(([^)#\s]*)(?:#([^)\s]+))?\)")
_FENCE = re.compile(r"^ *```(\w*)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
_CODE = re.compile(r"`([^`]+)`")
_METRIC = re.compile(r"\baibrix_gateway_[a-z_]*[a-z]\b")
_KEY = re.compile(r"`\[+([a-z_.]+)\]+ ([a-z_]+)`")

#: What a histogram is several of.
_SERIES = ("_bucket", "_sum", "_count")

#: Paths of the admin listener that its API does not describe.
_ADMIN_PATHS = {"/", "/healthz", "/metrics", "/readyz"}
_ADMIN_PORT = 9090

#: Units that the pages may speak of: the gateway's own, and an engine's.
_UNIT = re.compile(r"aibrix-gateway(\.service|\.socket)?|vllm@\$?gpu0?")


def _anchors(page: Path) -> set[str]:
    """What a link may name of a page's headings: as hosts of repositories make it of them."""
    text = _FENCE.sub("", page.read_text("utf-8"))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in _HEADING.findall(text)}


class ConfigurationPageTests(SynchronousTestCase):
    """docs/configuration.md, and the tool that makes it."""

    def test_it_is_what_the_settings_say(self) -> None:
        """The page is made, not written."""
        found = configuration_page.PAGE.read_text("utf-8")
        self.assertEqual(found, configuration_page.page(), "run: python -m tools.configuration_page")

    def test_it_has_every_section(self) -> None:
        """Sections within sections, too, under the name that the file has for them."""
        shown = [section.shown for section in configuration_page.sections()]
        self.assertEqual(len(shown), len(set(shown)))
        for header in ("", "[[replica]]", "[replica.tls]", "[model.profiles.NAME]", "[[discovery.dns]]", "[limits]"):
            self.assertIn(header, shown)
        kinds = {section.kind for section in configuration_page.sections()}
        declared = {kind for kind in vars(settings).values() if getattr(kind, "__module__", "") == settings.__name__}
        self.assertEqual(kinds, declared)

    def test_words(self) -> None:
        """Types and bounds, in words; one that there are no words for is said to be so."""
        for hint, words in (
            (bool, "`true`, `false`"),
            (settings.Seconds, "seconds, more than 0"),
            (Annotated[int, Ge(1), Le(9)], "whole number, 1 to 9"),
            (Annotated[int, Ge(1)], "whole number, 1 or more"),
            (Annotated[float, Gt(0), Le(9)] | None, "number, more than 0, at most 9"),
            (Annotated[tuple[settings.Name, ...], MinLen(1)], "list of: text, not empty; not empty"),
            (dict[str, str], "table, by name: text"),
            (Literal["a", "b"], '`"a"`, `"b"`'),
        ):
            self.assertEqual(configuration_page.in_words(hint), words)
        self.assertRaises(ValueError, configuration_page.in_words, bytes)


class LinkTests(SynchronousTestCase):
    """What the pages point to."""

    def test_links_lead_somewhere(self) -> None:
        """Each link that is no URL is a file of the tree, and its anchor a heading there."""
        wrong = []
        for page in PAGES:
            for path, anchor in _LINK.findall(_FENCE.sub("", page.read_text("utf-8"))):
                if "://" in path:
                    continue
                target = (page.parent / path).resolve() if path else page
                if not target.exists() or (anchor and anchor not in _anchors(target)):
                    wrong.append(f"{page.name}: {path}#{anchor}")
        self.assertEqual(wrong, [])


class NameTests(SynchronousTestCase):
    """Names of ours that the pages use."""

    def test_metrics(self) -> None:
        """Each metric that a page names is there."""
        known = {family.exposed for family in FAMILIES}
        known |= {family.exposed + series for family in FAMILIES for series in _SERIES if family.bounds}
        found = {(page.name, name) for page in PAGES for name in _METRIC.findall(page.read_text("utf-8"))}
        self.assertGreater(len(found), 50)
        self.assertEqual([at for at in sorted(found) if at[1] not in known], [])

    def test_keys(self) -> None:
        """Each C{[section] key} is one of the configuration file."""
        known = {
            (section.name, field.name)
            for section in configuration_page.sections()
            for field in dataclasses.fields(section.kind)
        }
        known = {(name.removesuffix(".NAME"), key) for name, key in known}
        found = {(page.name, at) for page in PAGES for at in _KEY.findall(page.read_text("utf-8"))}
        self.assertGreater(len(found), 50)
        self.assertEqual([(page, at) for page, at in sorted(found) if at not in known], [])

    def test_snippets_of_toml(self) -> None:
        """What is shown of a configuration file is TOML, with keys that there are."""
        known = {field.name for field in dataclasses.fields(settings.Settings)}
        shown = [
            (page.name, block)
            for page in PAGES
            for language, block in _FENCE.findall(page.read_text("utf-8"))
            if language == "toml"
        ]
        self.assertGreater(len(shown), 5)
        for page_name, block in shown:
            self.assertEqual(set(tomllib.loads(block)) - known, set(), page_name)

    def test_errors(self) -> None:
        """What the runbook says of C{error_type} and C{code} is so, and no fault of the gateway's is left out."""
        text = (ROOT / "docs" / "operations.md").read_text("utf-8")
        kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and "error_type" in vars(kind)]
        types = {kind.error_type: kind for kind in kinds}
        said = set(re.findall(r"`((?:client|engine|gateway|policy)_[a-z_]+)`", text))
        codes = {kind.code for kind in kinds}
        keys_there = {
            field.name for section in configuration_page.sections() for field in dataclasses.fields(section.kind)
        }
        self.assertEqual(said - set(types) - codes - keys_there, set())
        for kind in kinds:
            if issubclass(kind, errors.GatewayFault) and kind.status in (429, 503):
                self.assertIn(f"| {kind.status} `{kind.code}` | `{kind.error_type}` |", text)

    def test_alerts(self) -> None:
        """Alerts that the runbook names are in deploy/prometheus."""
        text = (ROOT / "docs" / "operations.md").read_text("utf-8")
        rules = (ROOT / "deploy" / "prometheus" / "alerts.yml").read_text("utf-8")
        named = set(re.findall(r"`(Aibrix[A-Za-z]+)`", text))
        self.assertGreater(len(named), 5)
        self.assertEqual({name for name in named if f"- alert: {name}\n" not in rules}, set())


class CommandTests(SynchronousTestCase):
    """What the pages tell people to type."""

    def shown(self, *programs: str) -> Iterator[tuple[str, list[str]]]:
        """Each command: the page that shows it, and its words."""
        for page in PAGES:
            for words in commands(page.read_text("utf-8")):
                if not programs or program(words) in programs:
                    yield page.name, words

    def test_each_is_run_or_there_is_a_reason(self) -> None:
        """commands.txt has all that are shown and no others, each with the test that runs it, or why none does."""
        lines = Path(__file__).with_name("commands.txt").read_text("utf-8").splitlines()
        said = dict(line.split(" -> ") for line in lines if not line.startswith("#"))
        self.assertEqual(sorted(said), sorted({key for _, words in self.shown() for key in keys(words)}))
        tested = re.search(r"^test: (.*)$", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
        assert tested is not None
        for key, by in said.items():
            name = key.split()[-1]
            if by.startswith("not run: "):
                self.assertGreater(len(by), len("not run: as make"), key)
            elif by == "make test":
                self.assertIn(name, tested[1].split())
            else:
                self.assertIn(name, (ROOT / by).read_text("utf-8"), key)

    def _parsed(self, where: str, arguments: list[str]) -> None:
        complaint = io.StringIO()
        try:
            with contextlib.redirect_stderr(complaint):
                parse(arguments, {})
        except SystemExit:
            self.fail(f"{where}: aibrixctl {' '.join(arguments)}: {complaint.getvalue()}")

    def test_aibrixctl_takes_them(self) -> None:
        """Every option, every argument: in blocks, and in what stands between words without gaps to be filled."""
        for page, words in self.shown("aibrixctl"):
            self._parsed(page, words[1:])
        found = 0
        for page in PAGES:
            for code in _CODE.findall(_FENCE.sub("", page.read_text("utf-8"))):
                words = code.split()
                if words[0] == "aibrixctl" and len(words) > 2 and not set(code) & set("[…|"):
                    self._parsed(page.name, words[1:])
                    found += 1
        self.assertGreater(found, 5)

    def test_the_gateway_takes_them(self) -> None:
        """What C{twistd}, and the image, are given."""
        self.patch(tap, "_choose_reactor", lambda: None)
        found = 0
        for page, words in self.shown("twistd", "docker"):
            if program(words) == "docker" and words[1] != "run":
                continue
            options = words[words.index("aibrix-gateway") + 1 :]
            if options == ["--version"]:
                continue
            parsed = tap.Options()
            parsed.parseOptions(options)
            self.assertTrue(parsed["config"] or parsed.flags(), page)
            found += 1
        self.assertGreater(found, 3)

    def test_make_takes_them(self) -> None:
        """Targets and variables are the Makefile's."""
        makefile = (ROOT / "Makefile").read_text("utf-8")
        for page, words in self.shown("make"):
            for word in words[1:]:
                name, is_variable, _ = word.partition("=")
                wanted = rf"\$[({{]{name}[)}}]" if is_variable else rf"(?m)^{name}:"
                self.assertRegex(makefile, wanted, f"{page}: {word}")

    def test_modules_are_there(self) -> None:
        """Those that C{python -m} runs."""
        for page, words in self.shown("python"):
            self.assertIsNotNone(importlib.util.find_spec(words[words.index("-m") + 1]), page)

    def test_paths_are_served(self) -> None:
        """Those that C{curl} asks; what it sends is JSON."""
        admin = _ADMIN_PATHS | set(openapi_document()["paths"])
        for page, words in self.shown("curl"):
            url = urlsplit(url_of(words))
            path = url.path.encode()
            served = url.path in admin if url.port == _ADMIN_PORT else path in ROUTES or is_local(path)
            self.assertTrue(served, f"{page}: {url.geturl()}")
            if "-d" in words:
                document = json.loads(words[words.index("-d") + 1])
                self.assertIn("model", document.get("body", document), page)

    def test_units_are_ours(self) -> None:
        """Those that C{systemctl} is told of."""
        found = 0
        for page, words in self.shown("systemctl"):
            for word in words[2:]:
                if not word.startswith("-") and word != "USR2":
                    self.assertTrue(_UNIT.fullmatch(word), f"{page}: {word}")
                    found += 1
        self.assertGreater(found, 5)
