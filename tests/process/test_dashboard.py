"""`taskd dashboard` as a process, beside a daemon that works."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from tests.process.daemon import Project
from tests.waiting import eventually

TOKEN = "a-token-of-forty-characters-0123456789ab"


@contextmanager
def dashboard(project: Project, *flags: str, **variables: str) -> Iterator[tuple[str, Any]]:
    """Its address, and the process, which the block may end; then its log must hold no token."""
    log = project.folder / "dashboard.log"
    with log.open("w") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-m", "taskd", "dashboard", "--listen", "127.0.0.1:0", *flags],
            cwd=project.folder,
            env={**project.environment, **variables},
            stderr=stderr,
        )
    try:
        url = eventually(lambda: re.search(r"http://\S+:\d+", log.read_text()))
        yield url[0], process
    finally:
        process.kill()
        process.wait(10)
    assert TOKEN not in log.read_text()


def get(url: str, token: str | None = None) -> Any:
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    with urlopen(Request(url, headers=headers), timeout=10) as answer:
        body = answer.read()
        return json.loads(body) if "json" in answer.headers["Content-Type"] else body.decode()


def test_what_a_daemon_does_is_seen_while_it_does_it(project: Project) -> None:
    project.start()
    good = project.enqueue("shop.add", 1, 2)
    project.wait_for_states(succeeded=1)

    with dashboard(project) as (url, process):
        assert get(f"{url}/readyz") == {"status": "ready"}
        assert get(f"{url}/api/v1/jobs/{good}")["state"] == "succeeded"
        (host,) = eventually(
            lambda: [each for each in get(f"{url}/api/v1/workers") if each["processes"]]
        )
        assert {each["role"] for each in host["processes"]} >= {"master", "worker"}
        metrics = get(f"{url}/metrics")
        assert re.search(r'taskd_jobs_total\{outcome="succeeded",pool="io".*\} 1\.0', metrics)
        assert 'taskd_pool_slots{pool="io"} 50.0' in metrics

        process.send_signal(signal.SIGTERM)

        assert process.wait(10) == 0


def test_only_who_shows_the_token_is_answered(project: Project, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(TOKEN + "\n")
    project.taskd("schema", "install")

    with dashboard(project, "--token-file", str(file)) as (url, _):
        assert get(f"{url}/api/v1/queues", TOKEN) == []
        with pytest.raises(HTTPError, match="401"):
            get(f"{url}/api/v1/queues", TOKEN[:-1])
        assert get(f"{url}/healthz") == {"status": "ok"}


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--listen", "0.0.0.0:0"), "can be reached from other machines, so a token is needed"),
        (("--listen", "8080"), "'8080' is no address such as 127.0.0.1:8080"),
        (("--token-file", "nowhere"), "--token-file nowhere: No such file"),
    ],
)
def test_what_would_be_unsafe_or_cannot_be_is_wrong_usage(
    project: Project, flags: tuple[str, ...], words: str
) -> None:
    result = project.taskd("dashboard", *flags)

    assert result.returncode == 2
    assert words in result.stderr


def test_an_address_that_does_not_exist_is_told_in_a_sentence(
    project: Project, tmp_path: Path
) -> None:
    file = tmp_path / "token"
    file.write_text(TOKEN)
    project.taskd("schema", "install")

    result = project.taskd("dashboard", "--listen", "a..b:0", "--token-file", str(file))

    assert result.returncode == 1
    assert "cannot listen on a..b:0: " in result.stderr
    assert "Traceback" not in result.stderr
