"""Descriptors: taken where they are given, and shared out."""

from __future__ import annotations

import resource

from twisted.trial.unittest import SynchronousTestCase

from aibrix_twisted.service.process.descriptors import max_clients, raise_descriptor_limit


class DescriptorTests(SynchronousTestCase):
    """With limits of our own: those of the process stay."""

    def limits_are(self, soft: int, hard: int) -> None:
        """From now on."""
        self.limits = (soft, hard)
        self.calls = 0
        self.patch(resource, "getrlimit", lambda _: self.limits)
        self.patch(resource, "setrlimit", self.limit)

    def limit(self, which: int, limits: tuple[int, int]) -> None:
        """In the system's place."""
        self.assertEqual(which, resource.RLIMIT_NOFILE)
        self.calls += 1
        self.limits = limits

    def test_raised_to_what_may_be_had(self) -> None:
        """And no call where there is nothing to raise."""
        self.limits_are(1024, 4096)
        raise_descriptor_limit()
        raise_descriptor_limit()
        self.assertEqual((self.limits, self.calls), ((4096, 4096), 1))

    def test_a_share_for_clients(self) -> None:
        """As many again go upstream and some are left; one client at least; no bound where there is none."""
        self.limits_are(1000, 1000)
        self.assertEqual(max_clients(), 450)
        self.limits_are(1, 1)
        self.assertEqual(max_clients(), 1)
        self.limits_are(resource.RLIM_INFINITY, resource.RLIM_INFINITY)
        self.assertGreater(max_clients(), 1_000_000)
