"""Downloading one file so that it is whole or not there, and goes on where it stopped."""

from __future__ import annotations

import hashlib
import os
from http.client import HTTPResponse
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

CHUNK = 1 << 16
TIMEOUT = 30.0


class WrongHash(Exception):
    """What arrived is not what the index promised."""


def download(url: str, target: Path, sha256: str | None) -> str:
    """Fetch a file unless it is there already; its sha256.

    The bytes go into `<name>.part`, which a later attempt continues; only when they are all there
    and have the right hash does the file get its name.
    """
    if target.exists():
        found = digest_of(target)
        if sha256 in (None, found):
            return found
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + ".part")
    fetch_rest(url, part)
    found = digest_of(part)
    if sha256 not in (None, found):
        part.unlink()
        raise WrongHash(f"{url}: sha256 is {found}, the index says {sha256}")
    part.replace(target)
    sync_folder(target.parent)
    return found


def fetch_rest(url: str, part: Path) -> None:
    """Append what is still missing; from the start if the server cannot continue."""
    have = part.stat().st_size if part.exists() else 0
    request = Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        answer: HTTPResponse = urlopen(request, timeout=TIMEOUT)
    except HTTPError as error:
        if error.code == 416:  # nothing is missing; the hash will tell whether that is true
            return
        raise
    with answer, part.open("ab" if answer.status == 206 else "wb") as out:
        while chunk := answer.read(CHUNK):
            out.write(chunk)
        out.flush()
        os.fsync(out.fileno())


def digest_of(path: Path) -> str:
    """The sha256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sync_folder(folder: Path) -> None:
    """Make a rename survive a power cut."""
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def write_whole(path: Path, text: str) -> None:
    """Replace a small file: readers see the old text or the new, never half of it."""
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    with unfinished.open("w", encoding="utf-8") as out:
        out.write(text)
        out.flush()
        os.fsync(out.fileno())
    unfinished.replace(path)
