"""End-to-end tests run on the gateway's own reactor, in a run of their own: C{make e2e}."""

from __future__ import annotations

import sys

if "twisted.internet.reactor" not in sys.modules:
    from aibrix_twisted.service.reactor import install

    install()
