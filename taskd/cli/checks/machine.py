"""What this machine allows: open files, and folders to write into."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator

from taskd.cli.checks.demand import files_needed
from taskd.cli.checks.finding import Finding, fault, fine, warning
from taskd.config.settings import Settings


def check_machine(settings: Settings) -> Iterator[Finding]:
    """Look at the limit of open files and at the folders that the daemon writes into."""
    yield check_files(files_needed(settings), *resource.getrlimit(resource.RLIMIT_NOFILE))
    yield _check_folder("state_dir", settings.state_dir, is_made=True)
    if settings.pid_file is not None:
        yield _check_folder("pid_file", os.path.dirname(settings.pid_file))
    if settings.log.file is not None:
        yield _check_folder("log.file", os.path.dirname(settings.log.file))


def check_files(needed: int, soft: int, hard: int) -> Finding:
    """Compare the open files of the busiest process with the hard limit, which the daemon takes."""
    limits = f"soft limit {_shown(soft)}, hard limit {_shown(hard)}"
    if hard != resource.RLIM_INFINITY and needed > hard:
        return warning(
            "open files",
            f"a busy process may need {needed}, {limits}",
            f"LimitNOFILE={needed} in the systemd unit, or `ulimit -Hn {needed}`",
        )
    return fine("open files", f"a busy process may need {needed}, {limits}")


def _shown(limit: int) -> str:
    return "none" if limit == resource.RLIM_INFINITY else str(limit)


def _check_folder(setting: str, folder: str, is_made: bool = False) -> Finding:
    """One that is made at the start if it is missing is as good as its nearest parent."""
    place = folder
    if not is_made and not os.path.lexists(place):
        return fault(setting, f"there is no folder {folder}", f"mkdir -p {folder}")
    while not os.path.lexists(place):
        place = os.path.dirname(place)
    if not os.path.isdir(place):
        return fault(setting, f"{place} is no folder", f"remove it, or change {setting}")
    if not os.access(place, os.W_OK | os.X_OK):
        return fault(
            setting, f"{place} is not writable for this user", f"chown it, or change {setting}"
        )
    return fine(setting, folder if place == folder else f"{folder}, made at the start")
