"""Numbers and durations in at most six cells, for columns that must fit beside each other."""

from __future__ import annotations

_UNITS = (("d", 86400, "h", 3600), ("h", 3600, "m", 60), ("m", 60, "s", 1))


def count(number: int) -> str:
    """A number up to 99999, beyond that in thousands, millions, …: `5.1M`."""
    if number < 100_000:
        return str(number)
    unit, size = next(
        ((unit, size) for unit, size in (("k", 1e3), ("M", 1e6)) if number < 999.5 * size),
        ("G", 1e9),
    )
    amount = number / size
    return f"{amount:.0f}{unit}" if amount >= 99.95 else f"{amount:.1f}{unit}"


def duration(seconds: float | None) -> str | None:
    """A duration: `0.4ms`, `350ms`, `2.1s`, `45s`, `3m20s`, `2h05m`, `3d04h`."""
    if seconds is None:
        return None
    if seconds < 0.0995:
        return f"{max(seconds, 0) * 1000:.1f}ms"
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f}ms"
    if seconds < 9.95:
        return f"{seconds:.1f}s"
    whole = int(seconds + 0.5)
    for unit, size, below, part in _UNITS:
        if whole >= size:
            first, rest = divmod(whole, size)
            return f"{first}{unit}" if first > 99 else f"{first}{unit}{rest // part:02}{below}"
    return f"{whole}s"


def rate(per_second: float) -> str:
    """A rate in three digits."""
    return f"{per_second:.0f}" if per_second >= 99.95 else f"{per_second:.3g}"


def share(part: float | None) -> str | None:
    """A part of one in per cent."""
    return None if part is None else f"{part * 100:.3g}%"
