"""The three tasks of the mirror. Each may run twice, and may be killed at any line.

sync_project ──► download_file, one a file ──► index_file
greenlets        greenlets                     process pool
"""

from __future__ import annotations

import re
import zipfile
from pathlib import Path

from examples.mirror.download import AlreadyRunning, download, write_whole
from examples.mirror.listing import list_files
from examples.mirror.mirror import Mirror
from taskd import Retry, Snooze, enqueue_many, task

PATIENT = Retry(max=5, delay=0.5, max_delay=30)


@task(queue="mirror-io", timeout=120, retry=PATIENT)
def sync_project(index_url: str, project: str, root: str) -> int:
    """List a project and enqueue the download of each of its files; how many there are."""
    files = list_files(index_url, project)
    Mirror(Path(root)).note_wanted(project, files)
    enqueue_many(download_file, [(one.url, one.sha256, root, project, one.name) for one in files])
    return len(files)


@task(queue="mirror-io", timeout=600, retry=PATIENT)
def download_file(url: str, sha256: str | None, root: str, project: str, name: str) -> None:
    """Fetch one file, check it, and have it put into the index."""
    path = Mirror(Path(root)).package(project, name)
    try:
        digest = download(url, path, sha256)
    except AlreadyRunning:
        raise Snooze(1) from None
    write_whole(path.with_name(path.name + ".sha256"), digest)
    index_file.enqueue(root, project, name)


@task(queue="mirror-cpu", timeout=120, retry=PATIENT)
def index_file(root: str, project: str, name: str) -> None:
    """Unpack a wheel's METADATA beside it, and make the project's pages anew."""
    mirror = Mirror(Path(root))
    path = mirror.package(project, name)
    if name.endswith(".whl"):
        write_whole(path.with_name(name + ".metadata"), metadata_of(path))
    mirror.write_pages(project)


def metadata_of(wheel: Path) -> str:
    """The text of a wheel's METADATA."""
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        inside = next(one for one in names if re.fullmatch(r"[^/]+\.dist-info/METADATA", one))
        return archive.read(inside).decode()
