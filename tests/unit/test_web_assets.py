"""The pages as they are sent: small, from here alone, and asked for once."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

import bottle
import pytest

from taskd.web.assets import POLICY, add_routes, read_assets
from tests.store.asking import Site

MOST_BYTES = 150_000
STATIC = Path(__file__).parents[2] / "taskd" / "web" / "static"


@pytest.fixture
def site() -> Site:
    app = bottle.Bottle()
    add_routes(app)
    return Site(app)


def addresses(page: str) -> list[str]:
    return re.findall(r'(?:src|href)="(static/[^"]+)"', page)


def test_every_file_that_the_page_names_is_there(site: Site) -> None:
    page = site.ask("/").body.decode()

    answers = [site.ask(f"/{address}") for address in addresses(page)]

    assert len(answers) == 3
    assert {answer.status for answer in answers} == {200}


def test_every_module_that_another_imports_is_there() -> None:
    files = read_assets().files
    for name, asset in files.items():
        if name.endswith(".js"):
            for wanted in re.findall(r'from "([^"]+)"', asset.body.decode()):
                path = (STATIC / name).parent.joinpath(wanted).resolve()
                assert str(path.relative_to(STATIC.resolve())) in files


def test_no_file_is_left_over_or_left_out() -> None:
    there = {str(path.relative_to(STATIC)) for path in STATIC.rglob("*") if path.is_file()}

    assert set(read_assets().files) == there


def test_all_together_they_are_small() -> None:
    assert sum(len(asset.packed) for asset in read_assets().files.values()) < MOST_BYTES


def test_nothing_names_another_host() -> None:
    for name, asset in read_assets().files.items():
        found = set(re.findall(r"https?://[^\s\"'`)]+", asset.body.decode()))
        assert found <= {"http://www.w3.org/2000/svg"}, name


def test_no_module_reads_html() -> None:
    for name, asset in read_assets().files.items():
        assert not re.search(
            r"innerHTML|outerHTML|insertAdjacent|document\.write|eval\(", asset.body.decode()
        ), name


def test_the_policy_allows_this_server_alone(site: Site) -> None:
    sent = site.ask("/").headers

    assert sent["content-security-policy"] == POLICY
    assert "unsafe" not in POLICY
    assert "default-src 'none'" in POLICY
    assert (sent["cache-control"], sent["x-content-type-options"]) == ("no-cache", "nosniff")


def test_who_has_it_already_is_sent_nothing(site: Site) -> None:
    tag = site.ask("/").headers["etag"]

    for shown in (tag, f"W/{tag}", f'"old", {tag}'):
        again = site.ask("/", headers={"If-None-Match": shown})
        assert (again.status, again.body) == (304, b"")
    assert site.ask("/", headers={"If-None-Match": '"old"'}).status == 200


def test_it_is_packed_for_who_can_unpack_it(site: Site) -> None:
    plain, packed = site.ask("/"), site.ask("/", headers={"Accept-Encoding": "gzip, br"})

    assert packed.headers["content-encoding"] == "gzip"
    assert gzip.decompress(packed.body) == plain.body
    assert packed.headers["vary"] == "Accept-Encoding"


def test_files_are_kept_for_ever_under_names_that_change_with_them(site: Site) -> None:
    (address, *_) = addresses(site.ask("/").body.decode())

    assert "immutable" in site.ask(f"/{address}").headers["cache-control"]
    for other in ("static/0123456789abcdef/app.js", f"static/{read_assets().version}/../app.py"):
        assert site.ask(f"/{other}").status == 404


def test_the_pictures_of_the_documentation_are_small_and_all_are_shown() -> None:
    docs = STATIC.parents[2] / "docs"
    pictures = {path.name: path.stat().st_size for path in (docs / "images").iterdir()}
    page = (docs / "how-to" / "watch.md").read_text(encoding="utf-8")

    assert sum(pictures.values()) < 1_200_000
    assert set(re.findall(r"images/([\w-]+\.png)", page)) == set(pictures)
