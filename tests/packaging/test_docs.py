"""What docs/ and README.md say is so."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Le, MinLen
from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.domain import settings
from tools import configuration_page

ROOT = Path(__file__).resolve().parents[2]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))

_LINK = re.compile(r"\]\(([^)#\s]*)(?:#([^)\s]+))?\)")
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


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
