"""How limits are shown."""

from __future__ import annotations

from taskd.config.rates import format_rate


def shown_limit(concurrency: int | None, rate: float | None, burst: int | None) -> str | None:
    """A limit in few words, such as `20 at once, 100/m, bursts of 5`; None if there is none."""
    parts = []
    if concurrency is not None:
        parts.append(f"{concurrency} at once")
    if rate is not None:
        parts.append(format_rate(rate))
        if burst is not None and burst > 1:
            parts.append(f"bursts of {burst}")
    return ", ".join(parts) or None
