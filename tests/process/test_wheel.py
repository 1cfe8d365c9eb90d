"""The wheel, as somebody gets it: installed where nothing of the repository is to be found."""

from __future__ import annotations

import json
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

from taskd.web.assets import read_assets

REPOSITORY = Path(__file__).parents[2]
TELL = """
import json, taskd
from importlib.resources import files
from taskd.store.schema import print_sql
from taskd.web.assets import read_assets
read = read_assets()
print(json.dumps({
    "home": taskd.__file__,
    "assets": {name: len(asset.body) for name, asset in read.files.items()},
    "schema": print_sql(),
}))
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new environment with the wheel alone, which borrows what it depends on from this one."""
    folder = tmp_path_factory.mktemp("wheel")
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "-q")
    built = ("wheel", "--no-deps", "--no-build-isolation", "-w", str(folder), str(REPOSITORY))
    subprocess.run([*pip, *built], check=True, cwd=folder)
    (wheel,) = folder.glob("taskd-*.whl")
    venv.create(folder / "env", with_pip=False)
    python = folder / "env" / "bin" / "python"
    installed = ("--python", str(python), "install", "--no-deps", "--no-index", str(wheel))
    subprocess.run([*pip, *installed], check=True, cwd=folder)
    (site,) = (folder / "env" / "lib").glob("python*/site-packages")
    (site / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return site


def data_files(package: Path) -> set[str]:
    """What a package has beside its modules."""
    return {
        str(path.relative_to(package))
        for path in package.rglob("*")
        if path.is_file() and path.suffix not in (".py", ".pyc")
    }


def test_no_file_of_the_package_is_left_out(home: Path) -> None:
    files = data_files(REPOSITORY / "taskd")

    assert "web/static/index.html" in files
    assert data_files(home / "taskd") == files


def test_what_is_installed_serves_all_pages_and_has_the_schema(home: Path) -> None:
    python = home.parents[2] / "bin" / "python"

    said = subprocess.run(
        [python, "-c", TELL], capture_output=True, text=True, check=True, cwd=home.parents[2]
    )

    told = json.loads(said.stdout)
    assert Path(told["home"]).is_relative_to(home)
    assert told["assets"] == {name: len(asset.body) for name, asset in read_assets().files.items()}
    assert "CREATE TABLE taskd.resource" in told["schema"]
