"""Figures as people read them."""

from __future__ import annotations

from typing import Any, Final

_SIZES: Final = ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"))


def took(seconds: float | None) -> str:
    """A time with three digits of it: C{0.42ms}, C{12.3ms}, C{1.24s}, C{75s}."""
    if seconds is None:
        return "-"
    if seconds < 1:
        milli = seconds * 1000
        return f"{milli:.2f}ms" if milli < 10 else f"{milli:.1f}ms" if milli < 100 else f"{milli:.0f}ms"
    return f"{seconds:.2f}s" if seconds < 10 else f"{seconds:.1f}s" if seconds < 60 else f"{seconds:.0f}s"


def per_second(rate: float | None) -> str:
    """A rate: C{0}, C{0.25}, C{12.3}, C{1234}."""
    if rate is None:
        return "-"
    return f"{rate:.2f}" if 0 < rate < 10 else f"{rate:.1f}" if 10 <= rate < 100 else f"{rate:.0f}"


def size(number: int | None) -> str:
    """Bytes, in the largest unit of which there is a whole one."""
    if number is None:
        return "-"
    for unit, name in _SIZES:
        if number >= unit:
            return f"{number / unit:.0f} {name}"
    return f"{number} B"


def count(value: float | None) -> str:
    """A number of things."""
    return "-" if value is None else f"{value:g}"


def quantile(quantiles: dict[str, Any] | None, name: str) -> str:
    """One of them, as a time."""
    return took(quantiles.get(name)) if quantiles else "-"
