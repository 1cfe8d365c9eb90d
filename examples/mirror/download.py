"""Downloading one file so that it is whole or not there, and goes on where it stopped."""

from __future__ import annotations

import fcntl
import hashlib
import os
from http.client import HTTPResponse
from pathlib import Path
from typing import BinaryIO
from urllib.error import HTTPError
from urllib.request import Request, urlopen

CHUNK = 1 << 16
TIMEOUT = 30.0


class WrongHash(Exception):
    """What arrived is not what the index promised."""


class CutOff(ConnectionError):
    """The connection ended before the file did; the next attempt goes on from there."""


class AlreadyRunning(Exception):
    """Another job is fetching this very file at this moment."""


def download(url: str, target: Path, sha256: str | None) -> str:
    """Fetch a file unless it is there already; its sha256.

    The bytes go into `<name>.part`, which a later attempt continues; only when they are all there
    and have the right hash does the file get its name. Raises AlreadyRunning, CutOff, WrongHash.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + ".part")
    with part.open("ab") as out:
        lock(out, part)
        if target.exists() and sha256 in (None, found := digest_of(target)):
            part.unlink()
            return found
        fetch_rest(url, out)
        found = digest_of(part)
        if sha256 not in (None, found):
            part.unlink()
            raise WrongHash(f"{url}: sha256 is {found}, the index says {sha256}")
        part.replace(target)
    sync_folder(target.parent)
    return found


def lock(out: BinaryIO, part: Path) -> None:
    """Let nobody else write to the part; the lock ends with the process, however that ends."""
    try:
        fcntl.flock(out, fcntl.LOCK_EX | fcntl.LOCK_NB)
        is_ours = os.path.samestat(os.fstat(out.fileno()), part.stat())
    except (BlockingIOError, FileNotFoundError):
        is_ours = False  # somebody has it, or had it and has just given it its name
    if not is_ours:
        raise AlreadyRunning(part.name)


def fetch_rest(url: str, out: BinaryIO) -> None:
    """Append what is still missing; from the start if the server cannot continue."""
    have = out.seek(0, os.SEEK_END)
    request = Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        answer: HTTPResponse = urlopen(request, timeout=TIMEOUT)
    except HTTPError as error:
        if error.code == 416:  # nothing is missing; the hash will tell whether that is true
            return
        raise
    with answer:
        if answer.status != 206:
            out.truncate(have := 0)
        while chunk := answer.read(CHUNK):
            out.write(chunk)
        out.flush()
        os.fsync(out.fileno())
        promised = answer.headers.get("Content-Length")
    if promised is not None and out.tell() < have + int(promised):
        raise CutOff(f"{url}: {out.tell()} of {have + int(promised)} bytes arrived")


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
