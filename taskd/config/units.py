"""Durations and sizes as people write them: `30s`, `14d`, `400MB`, `1MiB`."""

import math
import re

SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
"""Each unit of a duration, in seconds."""

BYTES = {
    "B": 1,
    "kB": 1000,
    "KB": 1000,
    "MB": 1000**2,
    "GB": 1000**3,
    "TB": 1000**4,
    "KiB": 1024,
    "MiB": 1024**2,
    "GiB": 1024**3,
}
"""Each unit of a size, in bytes."""

SPOKEN = (("d", 86400), ("h", 3600), ("min", 60), ("s", 1))
"""The units that a sentence uses, in seconds."""

SPOKEN_BYTES = (("TB", 1000**4), ("GB", 1000**3), ("MB", 1000**2), ("kB", 1000))
"""The units of a size that a sentence uses, in bytes."""

# Numbers of at most 15 digits are exact in a float.
NUMBER = r"-?[0-9]{1,15}(?:\.[0-9]{1,15})?"
SHARE_PATTERN = rf"^({NUMBER}) ?%$"
DURATION_PATTERN = rf"^({NUMBER}) ?({'|'.join(SECONDS)})?$"
SIZE_PATTERN = rf"^({NUMBER}) ?({'|'.join(BYTES)})?$"

_DURATION = re.compile(DURATION_PATTERN)
_SIZE = re.compile(SIZE_PATTERN)
_SHARE = re.compile(SHARE_PATTERN)


def parse_duration(value: object) -> float:
    """Seconds from a number of seconds, or from text such as `500ms`, `30s`, `5m`, `1h`, `14d`.

    Raises ValueError with a sentence for the reader of the configuration.
    """
    number, unit = _split(value, _DURATION)
    if number is None:
        raise ValueError("is not a duration: write seconds, or a number with ms, s, m, h or d")
    return number * SECONDS[unit or "s"]


def parse_size(value: object) -> int:
    """Bytes from a number of bytes, or from text such as `64kB`, `400MB`, `1MiB`.

    Raises ValueError with a sentence for the reader of the configuration.
    """
    number, unit = _split(value, _SIZE)
    if number is None:
        units = "kB, MB, GB, TB, KiB, MiB or GiB"
        raise ValueError(f"is not a size: write bytes, or a number with {units}")
    size = number * BYTES[unit or "B"]
    # 0.3kB is 300 bytes although 0.3 is no exact float, hence the tolerance.
    if abs(size - round(size)) > 1e-6:
        raise ValueError("is not a whole number of bytes")
    return round(size)


def parse_share(value: object) -> float:
    """A part of one from a number such as 0.2, or from text such as `20%`.

    Raises ValueError with a sentence for the reader of the configuration.
    """
    if isinstance(value, str) and (found := _SHARE.fullmatch(value)):
        return float(found[1]) / 100
    if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= 1:
        return float(value)
    raise ValueError("is not a share: write a percentage such as 20%")


def _split(value: object, pattern: re.Pattern[str]) -> tuple[float | None, str | None]:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None, None
    if isinstance(value, str):
        found = pattern.fullmatch(value)
        return (float(found[1]), found[2]) if found else (None, None)
    # An int too large for a float would raise OverflowError.
    if isinstance(value, float) and not math.isfinite(value):
        return None, None
    return float(min(max(value, -(10**300)), 10**300)), None


def format_duration(seconds: float) -> str:
    """Write a duration the shortest exact way: 0.5 is `500ms`, 90 is `90s`, 86400 is `1d`."""
    if seconds == 0:
        return "0s"
    for unit in ("d", "h", "m", "s"):
        if seconds % SECONDS[unit] == 0:
            return f"{seconds / SECONDS[unit]:.0f}{unit}"
    return f"{seconds * 1000:.15g}ms" if abs(seconds) < 1 else f"{seconds:.15g}s"


def format_size(size: int) -> str:
    """Write a size the shortest exact way: 1048576 is `1MiB`, 64000 is `64kB`, 7 is `7B`."""
    if size == 0:
        return "0B"
    for unit in ("GiB", "GB", "MiB", "MB", "KiB", "kB"):
        if size % BYTES[unit] == 0:
            return f"{size // BYTES[unit]}{unit}"
    return f"{size}B"


def format_share(share: float) -> str:
    """Write a part of one: 0.2 is `20%`."""
    return f"{share * 100:.15g}%"


def roughly(size: int) -> str:
    """Say a size in three digits or so: `412 MB`, `1.53 GB`.

    A MB is a million bytes.
    """
    for unit, of_bytes in SPOKEN_BYTES:
        amount = size / of_bytes
        if abs(amount) >= 0.9995:  # from there on rounding reaches this unit
            return f"{amount:.0f} {unit}" if abs(amount) >= 99.95 else f"{amount:.3g} {unit}"
    return f"{size} B"


def span(seconds: float) -> str:
    """Say a duration in its two largest units: `0.35 ms`, `2.1 s`, `3 min 20 s`, `2 d 4 h`."""
    # Each bound is where rounding reaches the next form: 0.9996 is 1.0 s and no 1e+03 ms.
    if seconds < 0.9995:
        return f"{max(seconds, 0) * 1000:.3g} ms"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    rest, parts = max(int(seconds), 10), []
    for unit, size in SPOKEN:
        count, rest = divmod(rest, size)
        if count:
            parts.append(f"{count} {unit}")
        if parts and (len(parts) == 2 or not count):
            break
    return " ".join(parts)
