"""The programs: `master`, and what its Python runs for it: `-m taskd.pool.seed …` and the like."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from taskd.config.settings import Settings
from taskd.supervisor.inheritance import Beginning
from tests.process.fakes.stage import Stage


def be_master(arguments: list[str]) -> int:
    """The real master, whose children are stand-ins; it begins once it may."""
    from taskd.supervisor import __main__ as supervisor

    stage, begin = Stage.of_this_process(), supervisor.begin

    def begin_once_told(settings: Settings) -> Beginning:
        stage.note("master", "begins")
        stage.word_other_than("waits", "master")
        return begin(settings)

    supervisor.begin = begin_once_told
    sys.executable = os.environ["FAKES_PYTHON"]
    sys.argv = ["taskd", *arguments]
    return supervisor.main()


def be_seed(arguments: list[str]) -> int:
    from tests.process.fakes.seed import run_seed

    return run_seed(*arguments)


def be_resolver(arguments: list[str]) -> int:
    """Print the settings that the test has laid out, or its faults; once it may."""
    stage = Stage.of_this_process()
    stage.note("resolver", "ran", origin=Path(f"/proc/self/fd/{arguments[1]}").read_text())
    faults = stage.word_other_than("waits", "resolver")
    if faults != "well":
        print(faults, file=sys.stderr)
        return 2
    print((stage.folder / "settings.json").read_text())
    return 0


PROGRAMS = {
    "master": be_master,
    "taskd.pool.seed": be_seed,
    "taskd.cli.resolve": be_resolver,
}

if __name__ == "__main__":
    words = [word for word in sys.argv[1:] if word not in ("-P", "-m")]
    sys.exit(PROGRAMS[words[0]](words[1:]))
