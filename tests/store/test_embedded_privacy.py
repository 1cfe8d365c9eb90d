"""The embedded server is its owner's: no other user of the machine gets at it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from taskd.store.embedded import Server
from tests.store.homes import Home, made_home, needs_root

pytestmark = pytest.mark.one_server
STRANGER = 54321

# Without any library: a stranger need not be able to read our environment.
KNOCK = """
import os, socket, sys
for path in sys.argv[1:]:
    try:
        if path.endswith(".s.PGSQL.5432"):
            socket.socket(socket.AF_UNIX).connect(path)
        else:
            os.listdir(path) if os.path.isdir(path) else open(path).close()
    except PermissionError:
        print("refused")
    else:
        print("open:", path)
"""


def knock(*paths: str) -> list[str]:
    """What another user of the machine meets there."""
    system = "/usr/bin/python3"  # ours may lie where he cannot read it
    python = system if os.path.exists(system) else sys.executable
    done = subprocess.run(
        [python, "-c", KNOCK, *paths],
        user=STRANGER,
        group=STRANGER,
        extra_groups=[],
        cwd="/",
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.splitlines()


def socket_of(server: Server) -> str:
    host = psycopg.conninfo.conninfo_to_dict(server.dsn)["host"]
    return f"{host}/.s.PGSQL.5432"


def test_another_user_reaches_neither_socket_nor_data() -> None:
    needs_root()
    with made_home() as home:
        server = home.start()
        psycopg.connect(server.dsn).close()

        met = knock(socket_of(server), home.folder.data, home.folder.log, home.folder.status)

        assert met == ["refused"] * 4


def test_nothing_listens_on_the_network() -> None:
    with made_home() as home:
        home.start()

        assert listening_ports(home) == []


def listening_ports(home: Home) -> list[str]:
    """The addresses on which its postmaster listens, as the kernel tells them."""
    sockets = {
        os.readlink(link)
        for link in Path(f"/proc/{home.postmaster}/fd").iterdir()
        if link.is_symlink()
    }
    lines = [
        line.split()
        for table in ("tcp", "tcp6")
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]
    ]
    return [fields[1] for fields in lines if f"socket:[{fields[9]}]" in sockets]


def test_another_user_reaches_no_socket_that_lies_elsewhere_either() -> None:
    """Where the path is too long for a socket, it lies in a folder of its own."""
    needs_root()
    with made_home(name="s" * 100) as home:
        server = home.start()

        assert knock(socket_of(server)) == ["refused"]
