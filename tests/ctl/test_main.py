"""From a command line to an exit code."""

from __future__ import annotations

import io
import tempfile
from argparse import Namespace
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.ctl.desk import Pace
from aibrix_twisted.ctl.failures import Misused, Refused, Unreachable
from aibrix_twisted.ctl.main import client_of, run
from tests.ctl.script import ran


class ExitTests(SynchronousTestCase):
    """Scripts rely on the codes."""

    def test_codes(self) -> None:
        """Each ending has its own; what is said is on the standard error."""
        for error, code in ((Refused("no"), 1), (Misused("wrong"), 2), (Unreachable("away"), 3)):
            done = ran(error, "reload")
            self.assertEqual((done.code, done.out, done.err), (code, "", f"aibrixctl: {error}\n"))

    def test_nobody_listens(self) -> None:
        """With the client that operators have: the place is named."""
        out, err = io.StringIO(), io.StringIO()
        code = run(
            ["replicas", "--admin", "unix:/nowhere/admin.sock"],
            {},
            out,
            err,
            Pace(lambda: 0.0, lambda s: None, lambda: 0.0),
            client_of,
        )
        self.assertEqual((code, out.getvalue()), (3, ""))
        self.assertIn("cannot be reached at unix:/nowhere/admin.sock: No such file or directory", err.getvalue())


class ClientTests(SynchronousTestCase):
    """client_of."""

    def test_a_token(self) -> None:
        """The first line of its file."""
        with tempfile.NamedTemporaryFile("w") as file:
            file.write("s3cret\n")
            file.flush()
            client = client_of(Namespace(admin="http://a", token_file=file.name))
        self.assertEqual(client._token, "s3cret")

    def test_no_token(self) -> None:
        """None is sent where no file is named."""
        self.assertEqual(client_of(Namespace(admin="http://a", token_file=""))._token, "")

    def test_what_is_wrong(self) -> None:
        """The option is named, what was found, and what was expected."""
        error = self.assertRaises(Misused, client_of, Namespace(admin="a", token_file=""))
        self.assertEqual(str(error), "--admin: found 'a', expected http://host:port, https://host:port or unix:/path")
        missing = str(Path(tempfile.gettempdir(), "no", "token"))
        error = self.assertRaises(Misused, client_of, Namespace(admin="http://a", token_file=missing))
        self.assertIn(f"--token-file: found {missing!r}, expected a file with a token", str(error))
