"""The mirror example's parts: files arrive whole, whatever happens on the way."""

from __future__ import annotations

import fcntl
import hashlib
import socket
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from examples.mirror.download import AlreadyRunning, CutOff, WrongHash, download
from examples.mirror.listing import list_files, read_html, read_json
from examples.mirror.mirror import Mirror
from examples.mirror.origin import Origin
from examples.mirror.tasks import metadata_of


def make_wheel(folder: Path, name: str, filler: int = 100_000) -> Path:
    path = folder / f"{name}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{name}/_vendor/other-2.dist-info/METADATA", "Name: other\n")
        archive.writestr(f"{name}/__init__.py", "# " + "x" * filler)
        metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n"
        archive.writestr(f"{name}-1.0.dist-info/METADATA", metadata)
        archive.writestr(f"{name}-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr(f"{name}-1.0.dist-info/RECORD", "")
    return path


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    folder = tmp_path / "wheels"
    folder.mkdir()
    return make_wheel(folder, "parcel")


@pytest.fixture
def origin(wheel: Path) -> Iterator[Origin]:
    opened = Origin(wheel.parent, latency=0.0)
    yield opened
    opened.close()


def test_a_project_is_listed_with_its_hashes(origin: Origin, wheel: Path) -> None:
    (file,) = list_files(origin.index_url, "Parcel")

    assert (file.name, file.sha256) == (wheel.name, sha256(wheel))


def test_html_and_json_pages_tell_the_same() -> None:
    page = '<a href="../files/a-1.whl#sha256=ab">a-1.whl</a>'
    file = '{"filename": "a-1.whl", "url": "../files/a-1.whl", "hashes": {"sha256": "ab"}}'
    text = f'{{"files": [{file}]}}'

    assert read_html(page, "http://x/simple/") == read_json(text, "http://x/simple/")


def test_a_file_arrives_whole_and_leaves_no_part(
    origin: Origin, wheel: Path, tmp_path: Path
) -> None:
    (file,) = list_files(origin.index_url, "parcel")
    target = tmp_path / "to" / file.name

    assert download(file.url, target, file.sha256) == sha256(wheel)

    assert target.read_bytes() == wheel.read_bytes()
    assert list(target.parent.iterdir()) == [target]


def test_a_download_goes_on_where_it_stopped(origin: Origin, wheel: Path, tmp_path: Path) -> None:
    (file,) = list_files(origin.index_url, "parcel")
    target = tmp_path / file.name
    part = target.with_name(file.name + ".part")
    part.write_bytes(wheel.read_bytes()[:50_000])

    download(file.url, target, file.sha256)

    assert target.read_bytes() == wheel.read_bytes()


def test_a_part_that_is_wrong_is_thrown_away(origin: Origin, wheel: Path, tmp_path: Path) -> None:
    (file,) = list_files(origin.index_url, "parcel")
    target = tmp_path / file.name
    part = target.with_name(file.name + ".part")
    part.write_bytes(b"nonsense")

    with pytest.raises(WrongHash):
        download(file.url, target, file.sha256)

    assert not part.exists()
    download(file.url, target, file.sha256)
    assert sha256(target) == sha256(wheel)


def test_a_connection_that_is_cut_keeps_what_has_arrived(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def cut() -> None:
            peer, _ = server.accept()
            with peer:
                peer.recv(65_536)
                peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + b"x" * 400)

        thread = threading.Thread(target=cut)
        thread.start()
        target = tmp_path / "file.whl"
        with pytest.raises(CutOff, match="400 of 1000 bytes"):
            download(f"http://127.0.0.1:{server.getsockname()[1]}/file.whl", target, "ab")
        thread.join()

    assert (tmp_path / "file.whl.part").stat().st_size == 400


def test_two_jobs_never_write_to_one_part(origin: Origin, tmp_path: Path) -> None:
    (file,) = list_files(origin.index_url, "parcel")
    target = tmp_path / file.name
    part = target.with_name(file.name + ".part")
    with part.open("ab") as other:
        fcntl.flock(other, fcntl.LOCK_EX)

        with pytest.raises(AlreadyRunning):
            download(file.url, target, file.sha256)


def test_a_link_to_a_local_file_is_refused(wheel: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = Origin(wheel.parent, latency=0.0)
    monkeypatch.setattr(
        "examples.mirror.listing.read_json",
        lambda text, url: read_html('<a href="file:///etc/hostname">x.whl</a>', url),
    )
    try:
        with pytest.raises(ValueError, match="neither http nor https"):
            list_files(secret.index_url, "parcel")
    finally:
        secret.close()


def test_metadata_is_the_wheels_own_not_a_vendored_one(wheel: Path) -> None:
    assert "Name: parcel" in metadata_of(wheel)


def test_pip_installs_from_the_pages(wheel: Path, tmp_path: Path) -> None:
    mirror = Mirror(tmp_path / "mirror")
    path = mirror.package("parcel", wheel.name)
    path.parent.mkdir(parents=True)
    path.write_bytes(wheel.read_bytes())
    path.with_name(path.name + ".sha256").write_text(sha256(wheel))
    mirror.write_pages("parcel")
    moved = (tmp_path / "mirror").rename(tmp_path / "moved")

    command = [sys.executable, "-m", "pip", "--isolated", "install", "--quiet", "--no-deps"]
    command += ["--target", str(tmp_path / "site"), "--index-url", f"file://{moved}/simple"]
    run = subprocess.run([*command, "parcel"], capture_output=True, text=True, check=False)

    assert run.returncode == 0, run.stderr
    assert (tmp_path / "site" / "parcel" / "__init__.py").exists()
    assert Mirror(moved).is_complete("parcel", wheel.name, sha256(wheel))
