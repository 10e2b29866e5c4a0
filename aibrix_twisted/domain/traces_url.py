"""Where spans are sent to: a URL, checked once."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import urlsplit

_HOST: Final = re.compile(r"[A-Za-z0-9._-]+|[0-9A-Fa-f:.]+")
_PATH: Final = re.compile(r"(?:/[A-Za-z0-9\-._~!$&'()*+,;=:@%]*)*")

#: Where a receiver takes spans by default (OTLP 1.x, "OTLP/HTTP Request").
_DEFAULT_PATH: Final = "/v1/traces"


def traces_url(text: str) -> str:
    """The URL in full: without a path, it is the receiver's default one.

    @raise ValueError: it is not one of C{http[s]://host[:port][/path]}; says what was expected.
    """
    try:
        parts = urlsplit(text)
        parts.port  # noqa: B018  # raises where it is none
    except ValueError as error:
        raise ValueError(f"expected http://host:port ({error})") from None
    if parts.scheme not in ("http", "https"):
        raise ValueError("expected a URL that begins with http:// or https://, such as http://127.0.0.1:4318")
    if parts.username is not None:
        raise ValueError("expected no user in it: credentials are given in OTEL_EXPORTER_OTLP_HEADERS")
    if parts.query or parts.fragment:
        raise ValueError("expected http://host:port/path, with no query or fragment")
    if _HOST.fullmatch(parts.hostname or "") is None:
        raise ValueError("expected a host name or an address after ://")
    if _PATH.fullmatch(parts.path) is None:
        raise ValueError("expected a path of URL characters")
    path = _DEFAULT_PATH if parts.path in ("", "/") else parts.path
    return f"{parts.scheme}://{parts.netloc}{path}"
