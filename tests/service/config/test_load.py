"""Configuration: what is right becomes settings, what is wrong is named by file, line and path."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.domain.settings import Settings
from aibrix_twisted.service.config.load import ConfigError, Source, key_of

#: A profile without its tables.
GPU = '[[gpu_profile]]\nmodel = "m"\noutput_tokens = [1.0, 2.0]\nprompt_tokens = [9.0]\n'


class LoadTests(SynchronousTestCase):
    """From TOML and flags."""

    def setUp(self) -> None:
        self.path = Path(tempfile.mkdtemp()) / "gateway.toml"

    def load(self, text: str, **flags: Any) -> Settings:
        """Load this text."""
        self.path.write_text(text)
        return Source(str(self.path), flags).load()

    def problems(self, text: str, **flags: Any) -> list[str]:
        """What is wrong with it, the folder left out."""
        error = self.assertRaises(ConfigError, self.load, text, **flags)
        return [problem.replace(f"{self.path.parent}/", "") for problem in error.problems]

    def test_nothing_is_the_defaults(self) -> None:
        """No file, or an empty one."""
        self.assertEqual(Source(None, {}).load(), Settings())
        self.assertEqual(self.load(""), Settings())

    def test_a_whole_file(self) -> None:
        """Every section that there is."""
        settings = self.load(
            'listen = ["tcp:8081"]\nadmin = "none"\npolicy = "random"\nstore = "memory:"\n'
            '[[replica]]\nurl = "http://10.0.0.5:8000/x"\nengine = "vllm"\nmodels = ["m"]\nlabels = {rack = "r1"}\n'
            'on_client_gone = "drain"\nforce_usage = false\n'
            '[[model]]\nname = "m"\naliases = ["gpt"]\npolicy = "round-robin"\n'
            '[timeouts]\nconnect = 1\n[retry]\nattempts = 5\n[access_log]\npath = ""\n[tracing]\nendpoint = "http://c:4318"\nsample = 1\n[limits]\nheaders = 50\n'
        )
        self.assertEqual((settings.replica[0].name, settings.replica[0].labels), ("10.0.0.5:8000", {"rack": "r1"}))
        self.assertEqual((settings.timeouts.connect, settings.retry.attempts), (1.0, 5))
        self.assertEqual((settings.tracing.endpoint, settings.tracing.sample), ("http://c:4318", 1.0))

    def test_flags_win(self) -> None:
        """Over the file, whole lists."""
        text = 'policy = "random"\n[[replica]]\nurl = "http://a:1"\n'
        settings = self.load(text, policy="round-robin", replica=[{"url": "http://b:1"}])
        self.assertEqual((settings.policy, settings.replica[0].url), ("round-robin", "http://b:1"))

    def test_what_is_wrong_is_named(self) -> None:
        """File, line, path, what was found, what was expected."""
        for text, expected in (
            ("polcy = 1", "gateway.toml:1: polcy: found an unknown key, expected one of access_log, admin"),
            ('\n[timeouts]\nconnect = "5s"', 'gateway.toml:3: timeouts.connect: found "5s", expected a number'),
            (
                '[tracing]\nendpoint = "collector:4318"',
                "gateway.toml:2: tracing.endpoint: found 'collector:4318', expected a URL that begins with http://",
            ),
            ("[tracing]\nsample = 1.5", "gateway.toml:2: tracing.sample: found 1.5, expected a number not above 1"),
            ("[timeouts]\nstall = 0", "gateway.toml:2: timeouts.stall: found 0, expected a number greater than 0"),
            ("[timeouts]\nstall = inf", "gateway.toml:2: timeouts.stall: found null, expected a number"),
            ("[retry]\nattempts = 2.5", "gateway.toml:2: retry.attempts: found 2.5, expected a whole number"),
            ("[retry]\nattempts = true", "gateway.toml:2: retry.attempts: found true, expected a whole number"),
            ("[retry]\nbudget = 2", "gateway.toml:2: retry.budget: found 2, expected a number not above 1"),
            (
                '[retry]\nresend_reused = "no"',
                'gateway.toml:2: retry.resend_reused: found "no", expected true or false',
            ),
            ("[no_such]\nbudget = 0.1", "gateway.toml:1: no_such: found an unknown key"),
            (
                "listen = []",
                "gateway.toml:1: listen: found no endpoint, expected at least one, here or in [tls] listen",
            ),
            ('listen = "tcp:1"', 'gateway.toml:1: listen: found "tcp:1", expected a list'),
            ('listen = ["tpc:1"]', "gateway.toml:1: listen[0]: found 'tpc:1', expected an endpoint such as"),
            ('store = "redis://x"', "gateway.toml:1: store: found \"redis://x\", expected one of 'memory:'"),
            (
                'policy = "best"',
                "gateway.toml:1: policy: found 'best', expected one of auto, cache-aware, consistent-hash,",
            ),
            ("[[replica]]\nname = 'x'", "gateway.toml:1: replica[0].url: found nothing, expected a value"),
            ('[[replica]]\nurl = "htps://a"', "gateway.toml:2: replica[0].url: found 'htps://a', expected a URL that"),
            (
                '[[replica]]\nurl = "http://a:1"\n[[replica]]\nurl = "http://b:1"\nname = "a:1"',
                "gateway.toml:5: replica[1].name: found 'a:1' a second time",
            ),
            (
                '[[replica]]\nurl = "http://a:1"\nname = "a b"',
                "gateway.toml:3: replica[0].name: found 'a b', expected visible",
            ),
            (
                '[[replica]]\nurl = "http://a:1"\nengine = "tgi"',
                'gateway.toml:3: replica[0].engine: found "tgi", expected one of',
            ),
            (
                '[[replica]]\nurl = "http://a:1"\napi_key_file = "/nope"',
                "gateway.toml:3: replica[0].api_key_file: found '/nope'",
            ),
            (
                '[limits]\ntemplate_names = ["thinking", "tokenize"]',
                "gateway.toml:2: limits.template_names[1]: found 'tokenize', expected the name of",
            ),
            ('[[model]]\nname = "m"\n[[model]]\nname = "m"', "gateway.toml:4: model[1].name: found 'm' a second time"),
            (
                '[[model]]\nname = "m"\naliases = ["x"]\n[[model]]\nname = "n"\naliases = ["x"]',
                "gateway.toml:6: model[1].aliases: found 'x', which is an alias of 'm' already",
            ),
            (
                '[[model]]\nname = "m"\naliases = ["m"]',
                "gateway.toml:3: model[0].aliases: found 'm', which is the name of a model",
            ),
            ('[[model]]\nname = "m"\npolicy = "x"', "gateway.toml:3: model[0].policy: found 'x', expected one of"),
            (
                'policy = "least-request:x"',
                "gateway.toml:1: policy: found 'least-request:x', least-request: weight 'x': expected a whole number",
            ),
            (
                '[[model]]\nname = "m"\nlocked_policy = "random,throughput"',
                "gateway.toml:3: model[0].locked_policy: found 'random,throughput', random gives no scores",
            ),
            (
                '[[model]]\nname = "m"\n[model.profiles.x]\npolicy = "y"',
                "gateway.toml:4: model[0].profiles.x.policy: found 'y', expected one of",
            ),
            (
                '[[model]]\nname = "m"\ndefault_profile = "y"\n[model.profiles.x]\npolicy = "random"',
                "gateway.toml:3: model[0].default_profile: found 'y', expected one of the profiles: x",
            ),
            (
                '[[model]]\nname = "m"\n[model.profiles.Auto]\npolicy = "random"',
                "gateway.toml:3: model[0].profiles.Auto: found a profile of that name, expected another",
            ),
            ('[[model]]\nname = "m"\n[model.slo]\nttft = 0.0', "gateway.toml:3: model[0].slo: found no objective"),
            (
                f"{GPU}rates = [[1.0]]\ne2e = [[1.0], [2.0, 3.0]]",
                "gateway.toml:5: gpu_profile[0].rates: found another shape, expected 2 rows of 1 numbers",
            ),
            (
                f'{GPU}rates = [[1.0], [1.0]]\ne2e = [[1.0], [2.0]]\nreplicas = "a b"',
                "gateway.toml:7: gpu_profile[0].replicas: found 'b' in 'a b', expected terms such as",
            ),
            (
                GPU.replace("[1.0, 2.0]", "[2.0, 1.0]") + "rates = [[1.0], [1.0]]\ne2e = [[1.0], [2.0]]",
                "gateway.toml:3: gpu_profile[0].output_tokens: found them in another order",
            ),
            ("x = ", "gateway.toml: not TOML:"),
        ):
            problems = self.problems(text)
            self.assertTrue(problems[0].startswith(expected), (problems, expected))

    def test_all_faults_at_once(self) -> None:
        """An operator mends them in one go."""
        self.assertEqual(len(self.problems("a = 1\nb = 2\n[timeouts]\nconnect = -1\n")), 3)

    def test_flags_are_named_as_flags(self) -> None:
        """Where there is no line."""
        self.assertTrue(self.problems("", policy="x")[0].startswith("--policy: found 'x'"))

    def test_files_that_cannot_be_read(self) -> None:
        """Said so."""
        for path in ("/nowhere/x.toml", str(self.path.parent)):
            error = self.assertRaises(ConfigError, Source(path, {}).load)
            self.assertIn("cannot be read", str(error))
        self.path.write_bytes(b"\xff")
        self.assertIn("not UTF-8", str(self.assertRaises(ConfigError, Source(str(self.path), {}).load)))

    def test_keys(self) -> None:
        """The first line of a file; nothing else can be sent."""
        self.path.write_text("sk-secret\nmore\n")
        self.assertEqual(key_of(str(self.path)), "sk-secret")
        self.path.write_text("\n")
        self.assertRaises(ValueError, key_of, str(self.path))

    def test_the_example_loads(self) -> None:
        """The file that is shipped."""
        example = Path(__file__).parents[3] / "deploy" / "gateway.example.toml"
        settings = Source(str(example), {}).load()
        self.assertTrue(settings.replica)
