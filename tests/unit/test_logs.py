from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from typing import ClassVar

import pytest

from taskd.config.sections import LogFormat, LogLevel, LogSettings
from taskd.events import Event
from taskd.logs import LogWriter
from tests.waiting import eventually


class Happened(Event):
    level: ClassVar[int] = logging.WARNING
    what: str

    def __str__(self) -> str:
        return f"it happened: {self.what}"


def test_a_text_line_has_time_level_role_and_sentence(tmp_path: Path) -> None:
    writer = LogWriter(LogSettings(file=str(tmp_path / "log")), "master")

    writer.take(Happened("rain"))

    line = (tmp_path / "log").read_text()
    stamp, _, rest = line.partition(" warning ")
    assert datetime.fromisoformat(stamp).utcoffset() is not None
    assert rest == "master: it happened: rain\n"


def test_a_json_line_has_the_fields_of_its_event(tmp_path: Path) -> None:
    choices = LogSettings(file=str(tmp_path / "log"), format=LogFormat.JSON)
    writer = LogWriter(choices, "master")

    writer.take(Happened("rain"))

    line = json.loads((tmp_path / "log").read_text())
    assert (line["event"], line["what"], line["level"]) == ("Happened", "rain", "warning")


def test_what_is_below_the_level_is_not_written(tmp_path: Path) -> None:
    choices = LogSettings(file=str(tmp_path / "log"), level=LogLevel.ERROR)

    LogWriter(choices, "master").take(Happened("rain"))

    assert (tmp_path / "log").read_text() == ""


def test_a_rotated_file_is_opened_anew(tmp_path: Path) -> None:
    path = tmp_path / "log"
    writer = LogWriter(LogSettings(file=str(path)), "master")
    path.rename(tmp_path / "old")

    writer.reopen()
    writer.take(Happened("sun"))

    assert "sun" in path.read_text()
    assert path.stat().st_mode & 0o777 == 0o600


SPEAKER = """
import sys
from taskd.config.sections import LogSettings
from taskd.logs import LogWriter
writer = LogWriter(LogSettings(), "test")
for number in range(5000):
    writer.write(20, "x" * 200 + str(number), "Line", {})
print("dropped", writer.dropped, flush=True)
sys.stdin.readline()
writer.write(20, "the end", "Line", {})
"""


def test_a_reader_that_does_not_read_holds_nobody_up_and_is_told_what_it_missed() -> None:
    reading, writing = os.pipe()
    speaker = subprocess.Popen(
        [sys.executable, "-c", SPEAKER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=writing,
        text=True,
    )
    os.close(writing)
    assert speaker.stdout is not None
    assert speaker.stdin is not None

    dropped = int(speaker.stdout.readline().split()[1])
    os.set_blocking(reading, False)
    text = b""

    def drained() -> bool:
        nonlocal text
        try:
            text += os.read(reading, 1 << 20)
        except BlockingIOError:
            return True
        return False

    eventually(drained)
    speaker.stdin.write("\n")
    speaker.stdin.close()
    assert speaker.wait(10) == 0
    eventually(lambda: drained() or b"the end" in text)
    speaker.stdout.close()
    os.close(reading)

    assert dropped > 0
    assert f"{dropped:,} lines dropped".encode() in text


def test_a_log_file_that_cannot_be_opened_is_made_up_for_by_standard_error(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    writer = LogWriter(LogSettings(file=str(tmp_path / "gone" / "log")), "master")

    writer.take(Happened("rain"))
    writer.reopen()
    writer.take(Happened("sun"))

    text = capfd.readouterr().err
    assert "it happened: rain" in text
    assert "it happened: sun" in text
    assert text.count("cannot be opened") == 1


def test_a_log_file_is_taken_up_again_when_it_can_be_opened(tmp_path: Path) -> None:
    path = tmp_path / "gone" / "log"
    writer = LogWriter(LogSettings(file=str(path)), "master")
    path.parent.mkdir()

    writer.reopen()
    writer.take(Happened("rain"))

    assert "it happened: rain" in path.read_text()


def test_a_long_message_is_cut_and_its_line_stays_json(tmp_path: Path) -> None:
    choices = LogSettings(file=str(tmp_path / "log"), format=LogFormat.JSON)

    LogWriter(choices, "master").take(Happened("\N{SNOWMAN}" * 100_000))

    line = (tmp_path / "log").read_text()
    assert json.loads(line)["message"].endswith("\N{SNOWMAN}…")
    assert len(line) < 100_000


def test_a_line_that_was_torn_does_not_spoil_the_next() -> None:
    code = """
from taskd.config.sections import LogSettings
from taskd.logs import LogWriter
writer = LogWriter(LogSettings(), "test")
while not writer.dropped:
    writer.write(20, "x" * 7000, "Line", {})
input()
writer.write(20, "the end", "Line", {})
"""
    reading, writing = os.pipe()
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stderr=writing, text=True
    ) as speaker:
        os.close(writing)
        with os.fdopen(reading, "rb", buffering=0) as pipe:
            text = pipe.read(65536)
            speaker.communicate("\n")
            text += pipe.read()

    lines = text.decode().splitlines()
    assert [line for line in lines if line.endswith("test: the end")] == lines[-1:]
    assert "1 line dropped" in lines[-2]


def test_a_call_of_logging_that_does_not_fit_its_arguments_fails_nobody(tmp_path: Path) -> None:
    code = f"""
import logging
from taskd.config.sections import LogSettings
from taskd.events import Events
from taskd.logs import install
install(Events(), LogSettings(file={str(tmp_path / "log")!r}), "io/0")
logging.getLogger("shop").warning("%d apples", "no")
logging.getLogger("shop").error("%s apples", 3)
"""

    subprocess.run([sys.executable, "-c", code], check=True)

    lines = (tmp_path / "log").read_text().splitlines()
    assert lines[0].endswith(
        "warning io/0: shop: %d apples (its arguments cannot be filled in: TypeError)"
    )
    assert lines[1].endswith("error   io/0: shop: 3 apples")


def test_a_process_without_standard_error_logs_nowhere() -> None:
    code = """
import os
from taskd.config.sections import LogSettings
from taskd.logs import LogWriter
os.close(2)
writer = LogWriter(LogSettings(), "test")
writer.write(20, "anything", "Line", {})
print(writer.dropped)
"""

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout == "1\n"
