"""The data directory: making it, and the command that serves it."""

from __future__ import annotations

import glob
import os
import shutil
import subprocess
from collections.abc import Mapping

from taskd.store.embedded.account import Account
from taskd.store.embedded.binaries import Programs
from taskd.store.embedded.folder import Folder
from taskd.store.embedded.start import NotStarted

SUPERUSER = "taskd"
ENVIRONMENT = {"LC_ALL": "C", "TZ": "UTC", "PATH": os.defpath}
"""All that the server sees of an environment: none of the PG variables of whoever started it."""
_TAIL = 1000
_SETTINGS = """
# --- chosen by taskd when it made this data directory; change them as you like
jit = off                           # costs more than it wins on taskd's short statements
log_checkpoints = off
max_logical_replication_workers = 0
min_dynamic_shared_memory = 8MB     # logind removes the user's shared memory files at logout
"""
_SETTINGS_SINCE_18 = """\
io_method = sync                    # three processes less; the jobs are in memory anyway
"""


def major_of(folder: Folder) -> int | None:
    """The major version of the data directory, None if there is none. Raises NotStarted."""
    path = os.path.join(folder.data, "PG_VERSION")
    try:
        with open(path, encoding="ascii") as file:
            return int(file.read())
    except FileNotFoundError:
        if os.path.isdir(folder.data) and os.listdir(folder.data):
            raise NotStarted(f"{folder.data} is not empty, but no data of PostgreSQL") from None
        return None
    except (ValueError, OSError) as error:
        raise NotStarted(f"{path} cannot be read: {error}") from error


def create(folder: Folder, programs: Programs, account: Account, lock: int) -> None:
    """Make the data directory, or nothing at all. Raises NotStarted.

    It is made under another name: a start that is killed half-way leaves nothing that looks like
    data. `lock` goes to initdb, which is then seen as long as it runs.
    """
    if account.name == str(account.uid):
        raise NotStarted(
            f"initdb refuses a user without a name, and {account.uid} has none: "
            "add the user to /etc/passwd, or give --database"
        )
    coming = f"{folder.data}.new"
    for left in glob.glob(f"{glob.escape(coming)}*"):
        shutil.rmtree(left)
    os.mkdir(coming, 0o700)
    account.own(coming)
    fd = os.open(coming, os.O_RDONLY | os.O_DIRECTORY)
    made = subprocess.run(
        [
            programs.of("initdb"),
            f"--pgdata={path_for(account, coming, fd)}",
            f"--username={SUPERUSER}",
            "--auth=trust",  # who gets at the socket is who may do everything
            "--encoding=UTF8",
            "--locale=C",
            "--data-checksums",
            "--no-instructions",
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        cwd="/",
        env=_environment(),
        pass_fds=(fd, lock),
        **account.subprocess_options,
    )
    os.close(fd)
    if made.returncode != 0:
        shutil.rmtree(coming, ignore_errors=True)
        raise NotStarted(
            f"{programs.of('initdb')} ended with status {made.returncode}:\n"
            f"{made.stdout.strip()[-_TAIL:]}"
        )
    _configure(coming, programs)
    _put_in_place(folder, coming)


def _configure(data: str, programs: Programs) -> None:
    with open(os.path.join(data, "postgresql.conf"), "a", encoding="utf-8") as file:
        file.write(_SETTINGS + (_SETTINGS_SINCE_18 if programs.major >= 18 else ""))
        file.flush()
        os.fsync(file.fileno())


def _put_in_place(folder: Folder, coming: str) -> None:
    os.rename(coming, folder.data)
    fd = os.open(folder.path, os.O_RDONLY | os.O_DIRECTORY)
    os.fsync(fd)
    os.close(fd)


def path_for(account: Account, directory: str, fd: int) -> str:
    """A path by which the account can reach its directory; `fd` is a descriptor of it.

    Root's state directory may lie where nobody else may pass: below /root, or in a temporary
    directory of root's. A descriptor that root has opened leads there all the same, for as long as
    it is inherited, and no mode of anybody's directories has to change.
    """
    return directory if account.can_list(directory) else f"/proc/self/fd/{fd}"


def server_command(
    folder: Folder, programs: Programs, data: str, socket_dir: str, max_connections: int
) -> list[str]:
    """The words that serve this data directory on that socket and nowhere else."""
    # The server works in its data directory, so this way is short, and open to it.
    where = "../run" if socket_dir == folder.run else socket_dir
    settings = {
        "listen_addresses": "",
        "port": "5432",
        "unix_socket_directories": where,
        "unix_socket_permissions": "0700",
        "max_connections": str(max_connections),
        "cluster_name": "taskd",
        "logging_collector": "off",
        "log_destination": "stderr",
    }
    words = [programs.of("postgres"), "-D", data]
    for name, value in settings.items():
        words += ["-c", f"{name}={value}"]
    return words


def server_environment(misleading_pid: int | None) -> Mapping[str, str]:
    """The server's environment; `misleading_pid` is in its postmaster.pid, but no postmaster."""
    environment = _environment()
    if misleading_pid is not None:
        # What pg_ctl tells PostgreSQL of its own parents: a pid to be ignored in postmaster.pid.
        # The file itself stays; it also names the shared memory that must not be in use.
        environment["PG_GRANDPARENT_PID"] = str(misleading_pid)
    return environment


def _environment() -> dict[str, str]:
    libraries = {name: os.environ[name] for name in ("LD_LIBRARY_PATH",) if name in os.environ}
    return ENVIRONMENT | libraries
