"""Where the tokens come from: files, or the environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from taskd.config.dashboard import DashboardSettings
from taskd.web.access import Access, Address

VARIABLE = "TASKD_DASHBOARD_TOKEN"
READER_VARIABLE = "TASKD_DASHBOARD_READER_TOKEN"


def read_access(
    settings: DashboardSettings, environ: Mapping[str, str] = os.environ, *, by_flags: bool = False
) -> tuple[Address, Access]:
    """Where to answer, and whom; reads the files. Raises ValueError with a sentence.

    Without an address it is this machine's port 8080. `by_flags`: call them as flags are called.
    """
    address = Address.parse(settings.listen or "127.0.0.1:8080")
    names = ("token_file", "reader_token_file")
    if by_flags:
        names = ("--token-file", "--reader-token-file")
    token = _token(names[0], settings.token_file, environ.get(VARIABLE))
    readers = _token(names[1], settings.reader_token_file, environ.get(READER_VARIABLE))
    return address, Access.of(address, token, readers)


def _token(name: str, file: str | None, otherwise: str | None) -> str | None:
    if file is None:
        return otherwise
    try:
        return Path(file).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "is no text"
        raise ValueError(f"{name} {file}: {reason}") from error
