"""The command line."""

from __future__ import annotations

import io
from contextlib import redirect_stderr, redirect_stdout

from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.ctl.options import DEFAULT_ADMIN, parse

COMMANDS = ("check", "replicas", "add", "remove", "drain", "undrain", "eject", "restore", "models", "reload")


class OptionsTests(SynchronousTestCase):
    """parse."""

    def ended(self, *arguments: str) -> tuple[object, str]:
        """The exit code, and what was printed."""
        said = io.StringIO()
        with redirect_stderr(said), redirect_stdout(said):
            error = self.assertRaises(SystemExit, parse, arguments, {})
        return error.code, said.getvalue()

    def test_where_the_gateway_is(self) -> None:
        """The option, else the environment, else where it listens by default; before the command, or after it."""
        shell = {"AIBRIX_ADMIN": "unix:/a", "AIBRIX_ADMIN_TOKEN_FILE": "/t"}
        for arguments, environment, admin, token_file, as_json in (
            (["models"], {}, DEFAULT_ADMIN, "", False),
            (["models"], {"AIBRIX_ADMIN": ""}, DEFAULT_ADMIN, "", False),
            (["models"], shell, "unix:/a", "/t", False),
            (["--admin", "http://b", "--token-file", "/u", "--json", "models"], shell, "http://b", "/u", True),
            (["models", "--admin", "http://b", "--token-file", "/u", "--json"], shell, "http://b", "/u", True),
            (["--json", "models", "--admin", "http://b"], shell, "http://b", "/t", True),
        ):
            options = parse(arguments, environment)
            self.assertEqual((options.admin, options.token_file, options.json), (admin, token_file, as_json), arguments)

    def test_every_command_has_help(self) -> None:
        """Of its own, and in the list."""
        code, text = self.ended("--help")
        self.assertEqual(code, 0)
        for command in COMMANDS:
            self.assertIn(f"\n    {command} ", text)
            self.assertEqual(self.ended(command, "--help")[0], 0)

    def test_the_version(self) -> None:
        """As the daemon's."""
        self.assertRegex(self.ended("--version")[1], r"\Aaibrixctl \d+\.\d+")

    def test_wrong_usage(self) -> None:
        """Exit code 2, and what was expected."""
        for arguments, expected in (
            ((), "COMMAND"),
            (("nonsense",), "nonsense"),
            (("drain",), "NAME"),
            (("drain", "a", "--wait", "-1"), "found '-1', expected seconds"),
            (("drain", "a", "--wait", "inf"), "found 'inf', expected a number"),
            (("remove", "a", "--wait", "1"), "unrecognized"),
            (("add", "http://a", "--ttl", "soon"), "found 'soon', expected a number"),
            (("add", "http://a", "--weight", "nan"), "found 'nan', expected a number"),
            (("add", "http://a", "--label", "rack"), "found 'rack', expected key=value"),
            (("add", "http://a", "--label", "=r1"), "expected key=value"),
            (("add", "http://a", "--engine", "tgi"), "tgi"),
        ):
            code, text = self.ended(*arguments)
            self.assertEqual(code, 2, arguments)
            self.assertIn(expected, text)
