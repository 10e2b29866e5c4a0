"""End-to-end tests run on the gateway's own reactor, in a run of their own: C{make e2e}.

On Twisted's own with C{AIBRIX_TEST_REACTOR=default}; and with TLS wherever something is said, with C{AIBRIX_TEST_TLS=1}.
"""

from __future__ import annotations

import os
import sys

if "twisted.internet.reactor" not in sys.modules and os.environ.get("AIBRIX_TEST_REACTOR") != "default":
    from aibrix_twisted.service.reactor import install

    install()
