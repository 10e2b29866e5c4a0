"""The packages in setup.cfg are the packages in the tree."""

from __future__ import annotations

import configparser

from twisted.trial.unittest import SynchronousTestCase

from tests.house.tree import ROOT, dotted, modules


class PackageTests(SynchronousTestCase):
    """setup.cfg names packages one by one, because a search would miss C{twisted.plugins}."""

    def test_every_package_is_named(self) -> None:
        """A folder of the package that is missing in the list would be missing in the wheel."""
        config = configparser.ConfigParser()
        config.read(ROOT / "setup.cfg", encoding="utf-8")
        named = set(config["options"]["packages"].split())
        found = {dotted(path) for path in modules() if path.name == "__init__.py"}
        folders = {".".join(path.parent.parts) for path in modules()}
        self.assertEqual(named, found | {"twisted.plugins"})
        self.assertEqual(folders - found, set(), "a folder without __init__.py")

    def test_plugins_are_nobodys_package(self) -> None:
        """twisted/ and twisted/plugins/ are Twisted's: an C{__init__.py} of ours there would hide its own."""
        self.assertEqual([path for path in modules("twisted") if path.name == "__init__.py"], [])
        self.assertEqual(len(modules("twisted/plugins")), 2)
