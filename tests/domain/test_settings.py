"""The settings' own defaults."""

from __future__ import annotations

import dataclasses

from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.domain import settings


class SettingsTests(SynchronousTestCase):
    """The file that is the list of defaults."""

    def test_sections_are_frozen_and_slotted(self) -> None:
        """Settings cannot be changed beneath an exchange that began with them."""
        sections = [value for value in vars(settings).values() if dataclasses.is_dataclass(value)]
        self.assertGreater(len(sections), 5)
        for section in sections:
            self.assertTrue(section.__dataclass_params__.frozen, section)
            self.assertTrue(hasattr(section, "__slots__"), section)

    def test_defaults_are_the_contract(self) -> None:
        """Those that people rely on."""
        defaults = settings.Settings()
        self.assertEqual((defaults.listen, defaults.policy), (("tcp:8080",), "least-request"))
        self.assertEqual(defaults.admin, "tcp:9090:interface=127.0.0.1")
        timeouts = defaults.timeouts
        self.assertEqual(
            (timeouts.connect, timeouts.first_byte, timeouts.stall, timeouts.total, timeouts.keepalive, timeouts.drain),
            (5.0, 600.0, 120.0, 3600.0, 75.0, 120.0),
        )
        self.assertEqual((defaults.retry.attempts, defaults.retry.budget), (3, 0.2))
        self.assertEqual((defaults.limits.header_bytes, defaults.limits.body_bytes), (32768, 33554432))
