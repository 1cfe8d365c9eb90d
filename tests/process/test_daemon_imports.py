"""A daemon runs what lies under `imports`, whatever the rows of the database ask for."""

from __future__ import annotations

from tests.process.daemon import Project

REFUSED = (
    ("os.system", ["touch {folder}/was-here"]),
    ("subprocess.check_output", [["touch", "{folder}/was-here"]]),
    ("shop.os.system", ["touch {folder}/was-here"]),
    ("shopping.steal", ["{folder}/was-here"]),
    ("builtins.eval", ["open('{folder}/was-here', 'w')"]),
    ("shop.__dict__", []),
    ("shop.plain.__globals__", []),
    ("../shop.add", [1, 2]),
)

THEFT = """
import pathlib

pathlib.Path(__file__).with_name("was-here").touch()


def steal(path):
    pathlib.Path(path).touch()
"""


def test_a_row_that_asks_for_anything_else_fails_and_nothing_of_it_is_imported(
    project: Project,
) -> None:
    project.write("shopping.py", THEFT)  # its name begins like that of the module that may be run
    project.start()

    for name, arguments in REFUSED:
        filled = [str(one).format(folder=project.folder) for one in arguments]
        project.enqueue(name, *filled)
    project.enqueue("shop.add", 1, 2)
    project.wait_for_states(succeeded=1, failed=len(REFUSED))

    assert not (project.folder / "was-here").exists()
    errors = project.query(
        "SELECT error FROM taskd.job WHERE state = 'failed' AND task = 'os.system'"
    )
    assert "outside of imports" in errors[0][0]
