from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from taskd.cli.profiling import PACKAGES, Profile

SHOP = """
import socket
import subprocess
import threading
import time


def wait_for_others():
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=answer, args=(server,), daemon=True).start()
        with socket.create_connection(("localhost", server.getsockname()[1])) as client:
            client.makefile("rb").readline()
    time.sleep(0.1)
    subprocess.run(["sleep", "0.1"], check=True)
    return "done"


def answer(server):
    peer, _ = server.accept()
    threading.Event().wait(0.3)
    peer.sendall(b"hello\\n")
    peer.close()


def fail():
    time.sleep(0.01)
    raise ValueError("no such shop")


def work():
    return len([bytearray(1000) for _ in range(20_000)])
"""


def profile(folder: Path, what: str, function: str) -> subprocess.CompletedProcess[str]:
    (folder / "shop.py").write_text(SHOP)
    command = [sys.executable, "-m", "taskd", "run", "--profile", what, f"shop.{function}"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_the_waits_of_a_call_are_told_by_host(tmp_path: Path) -> None:
    done = profile(tmp_path, "io", "wait_for_others")

    assert done.stdout == '"done"\n'
    lines = done.stderr.splitlines()
    assert lines[0].startswith("took ")
    (received,) = [line for line in lines if "to receive" in line]
    assert "localhost:" in received
    assert any("time.sleep" in line and "shop.py:" in line for line in lines)
    assert any("a child process" in line and "sleep" in line for line in lines)


def test_a_call_that_fails_is_told_of_too(tmp_path: Path) -> None:
    failed = profile(tmp_path, "io", "fail")

    assert failed.returncode == 1
    assert "time.sleep" in failed.stderr
    assert "ValueError: no such shop" in failed.stderr


@pytest.mark.parametrize("what", [Profile.CPU, Profile.MEMORY])
def test_a_profile_is_made_or_the_package_for_it_is_named(what: Profile, tmp_path: Path) -> None:
    done = profile(tmp_path, what, "work")

    package = PACKAGES[what]
    if find_spec(package) is None:
        assert done.returncode == 1
        assert f"pip install {package}" in done.stderr
        assert done.stdout == ""
    else:
        assert done.stdout == "20000\n"
        assert "shop.py" in done.stderr
