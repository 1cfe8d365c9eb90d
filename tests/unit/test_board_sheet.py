"""The sheet that a worker answers on."""

from __future__ import annotations

import os
from pathlib import Path

from taskd.board import Sheet


def test_a_sheet_is_written_read_and_wiped() -> None:
    sheet = Sheet.create()
    sheet.write("one ")
    sheet.write("two")
    assert sheet.read() == "one two"

    sheet.wipe()
    assert sheet.read() == ""
    sheet.close()


def test_a_file_that_a_job_has_opened_in_its_place_is_not_touched(tmp_path: Path) -> None:
    sheet = Sheet.create()
    path = tmp_path / "precious"
    path.write_text("mine")
    with path.open("r+b") as other:
        os.dup2(other.fileno(), sheet.fd)

    sheet.wipe()
    sheet.write("an answer")

    sheet.close()
    assert path.read_text() == "mine"
