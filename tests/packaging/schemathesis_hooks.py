"""For schemathesis: a stream of events has no end of its own, so the long ones of them are made short."""

from __future__ import annotations

from typing import Any

import schemathesis

#: Long enough for an event or two.
_SHORT_S = "0.1"


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: Any) -> None:
    """Give each valid question for events an end."""
    if case.operation.path == "/api/events" and case.method.upper() == "GET":
        asked = dict(case.query or {})
        if set(asked) <= {"seconds"} and _is_long(asked.get("seconds")):
            case.query = {"seconds": _SHORT_S}


def _is_long(seconds: Any) -> bool:
    try:
        return seconds is None or 0.1 < float(seconds) <= 86400
    except (TypeError, ValueError):
        return False
