"""The programs that the documentation shows, run as it says."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from examples.mirror.download import digest_of
from tests.process.daemon import Project
from tests.unit.test_mirror import make_wheel
from tests.waiting import eventually

REPOSITORY = Path(__file__).parents[2]
WHEELS = 15
BUSY_WORKER = """
SELECT worker.pid
FROM taskd.running JOIN taskd.worker ON worker.id = running.worker
WHERE running.task LIKE '%%mirror%%' AND worker.pool = 'io'
"""


class _Page(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"x" * 27443)

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Say nothing."""


@pytest.fixture
def page() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), _Page) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


def test_the_program_of_the_readme_prints_what_its_job_returned(
    project: Project, page: str
) -> None:
    readme = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    (program,) = re.findall(r"```python\n(# shop\.py\n.*?)```", readme, re.DOTALL)
    assert '"https://www.postgresql.org/"' in program
    project.write("shop.py", program.replace("https://www.postgresql.org/", page))
    project.start(ready=False)

    printed = project.python("shop.py")

    assert re.fullmatch(r"\d+ 27443\n", printed)


def test_a_mirror_is_whole_though_a_worker_was_killed(project: Project) -> None:
    wheels = project.folder / "wheels"
    wheels.mkdir()
    made = [make_wheel(wheels, f"parcel{number}") for number in range(WHEELS)]
    mirror = project.folder / "mirror"
    options = {"--wheels": wheels, "--to": mirror, "--latency": 0.3, "--database": project.dsn}
    options |= {"--processes": 2, "--greenlets": 3}
    command = [sys.executable, "-m", "examples.mirror"]
    command += [str(word) for option in options.items() for word in option]

    with (project.folder / "said").open("wb") as said:
        running = subprocess.Popen(
            command, cwd=REPOSITORY, env=project.environment, stdout=said, stderr=said
        )
    try:
        busy = eventually(lambda: _busy_workers(project), 30)
        os.kill(busy[0], signal.SIGKILL)
        status = running.wait(60)
    finally:
        running.terminate()
        running.wait(20)

    report = (project.folder / "said").read_text()
    assert status == 0, report
    assert "killed by SIGKILL" in report
    for wheel in made:
        copy = mirror / "packages" / wheel.name.split("-")[0] / wheel.name
        assert digest_of(copy) == digest_of(wheel)


def _busy_workers(project: Project) -> list[int]:
    """The workers that run jobs at this moment; none before there is a schema."""
    ((is_there,),) = project.query("SELECT to_regclass('taskd.running') IS NOT NULL")
    return [pid for (pid,) in project.query(BUSY_WORKER)] if is_there else []
