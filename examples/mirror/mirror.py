"""The mirror on disk: where its files are, and the index pages that pip reads.

    <root>/packages/<project>/<file>            with <file>.sha256 and <wheel>.metadata beside it
    <root>/simple/<project>/index.html, index.json
    <root>/wanted/<project>.json                what the index listed: the measure of completeness

A page is made of what is on disk at that moment, under a lock, so it can be made again at any time
and by many at once. Links are relative: the mirror can be moved, served, or used as `file://`.
"""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from html import escape
from pathlib import Path
from urllib.parse import quote

from examples.mirror.download import digest_of, write_whole
from examples.mirror.listing import RemoteFile, normalized


@dataclass(frozen=True)
class Mirror:
    """A mirror in a folder."""

    root: Path

    def package(self, project: str, name: str) -> Path:
        """Where a file of a project belongs."""
        return self.root / "packages" / normalized(project) / name

    def note_wanted(self, project: str, files: list[RemoteFile]) -> None:
        """Remember what the index listed."""
        folder = self.root / "wanted"
        folder.mkdir(parents=True, exist_ok=True)
        listed = {file.name: file.sha256 for file in files}
        write_whole(folder / f"{normalized(project)}.json", json.dumps(listed, indent=1))

    def forget_wanted(self) -> None:
        """Begin anew: only what the index lists from now on counts."""
        for page in (self.root / "wanted").glob("*.json"):
            page.unlink()

    def wanted(self) -> dict[str, dict[str, str | None]]:
        """What is to be there: the files and hashes of each project that was listed."""
        pages = sorted((self.root / "wanted").glob("*.json"))
        return {page.stem: json.loads(page.read_text()) for page in pages}

    def is_complete(self, project: str, name: str, sha256: str | None) -> bool:
        """Whether a file is there, whole, and on its project's page."""
        path = self.package(project, name)
        page = self.root / "simple" / normalized(project) / "index.html"
        return (
            path.exists()
            and sha256 in (None, digest_of(path))
            and page.exists()
            and f">{escape(name)}</a>" in page.read_text()
        )

    def write_pages(self, project: str) -> None:
        """Make a project's pages, and the root page, from what is on disk."""
        project = normalized(project)
        folder = self.root / "simple" / project
        folder.mkdir(parents=True, exist_ok=True)
        with locked(folder / ".lock"):
            files = self._files(project)
            write_whole(folder / "index.html", _page(project, [_link(one) for one in files]))
            write_whole(folder / "index.json", _json_page(project, files))
        simple = self.root / "simple"
        with locked(simple / ".lock"):
            projects = sorted(page.parent.name for page in simple.glob("*/index.html"))
            links = [f'<a href="{name}/index.html">{name}</a>' for name in projects]
            write_whole(simple / "index.html", _page("Simple index", links))

    def _files(self, project: str) -> list[dict[str, str]]:
        """What a page tells of each file; a file without its hash beside it is not ready yet."""
        found = []
        for note in sorted((self.root / "packages" / project).glob("*.sha256")):
            file = note.with_suffix("")
            if file.exists():
                url = f"../../packages/{project}/{quote(file.name)}"
                found.append({"name": file.name, "url": url, "sha256": note.read_text().strip()})
        return found


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """One process at a time; the lock ends with its process, however that ends."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _link(file: dict[str, str]) -> str:
    return f'<a href="{file["url"]}#sha256={file["sha256"]}">{escape(file["name"])}</a>'


def _page(title: str, links: list[str]) -> str:
    body = "<br>\n".join(links)
    head = f"<head><title>{title}</title></head>"
    return f"<!DOCTYPE html>\n<html>{head}<body>\n{body}\n</body></html>\n"


def _json_page(project: str, files: list[dict[str, str]]) -> str:
    listed = [
        {"filename": file["name"], "url": file["url"], "hashes": {"sha256": file["sha256"]}}
        for file in files
    ]
    return json.dumps({"meta": {"api-version": "1.0"}, "name": project, "files": listed}, indent=1)
