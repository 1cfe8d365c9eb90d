"""Reading a project's page of a package index, JSON (PEP 691) or HTML (PEP 503)."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from html.parser import HTMLParser
from urllib.parse import unquote, urldefrag, urljoin, urlsplit
from urllib.request import Request, urlopen

ACCEPT = "application/vnd.pypi.simple.v1+json, text/html;q=0.5"
TIMEOUT = 30.0


@dataclass(frozen=True)
class RemoteFile:
    """One file that a project offers; sha256 is None if the index does not tell it."""

    name: str
    url: str
    sha256: str | None


def list_files(index_url: str, project: str) -> list[RemoteFile]:
    """The files of a project, as the index lists them. Raises OSError or ValueError."""
    page_url = f"{index_url.rstrip('/')}/{normalized(project)}/"
    with urlopen(Request(page_url, headers={"Accept": ACCEPT}), timeout=TIMEOUT) as page:
        text = page.read().decode()
        read = read_json if "json" in page.headers.get("Content-Type", "") else read_html
        files = read(text, page.url)
    for file in files:
        insist_on_plain_name(file.name)
        insist_on_http(file.url)
    return files


def normalized(project: str) -> str:
    """A project's name as it stands in URLs (PEP 503)."""
    return re.sub(r"[-_.]+", "-", project).lower()


def read_json(text: str, base_url: str) -> list[RemoteFile]:
    """The files of a PEP 691 page."""
    return [
        RemoteFile(one["filename"], urljoin(base_url, one["url"]), one["hashes"].get("sha256"))
        for one in json.loads(text)["files"]
    ]


def read_html(text: str, base_url: str) -> list[RemoteFile]:
    """The files of a PEP 503 page: its links, whose fragment is the hash."""
    parser = _Links()
    parser.feed(text)
    files = []
    for link in parser.links:
        url, fragment = urldefrag(urljoin(base_url, link))
        name = unquote(urlsplit(url).path.rsplit("/", 1)[-1])
        kind, _, digest = fragment.partition("=")
        files.append(RemoteFile(name, url, digest if kind == "sha256" else None))
    return files


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        link = dict(attrs).get("href")
        if tag == "a" and link:
            self.links.append(link)


def insist_on_http(url: str) -> None:
    """Refuse a link to anything but the web: a `file:` link would copy what is on this machine."""
    if urlsplit(url).scheme not in ("http", "https"):
        raise ValueError(f"the index links to {url}, which is neither http nor https")


def insist_on_plain_name(name: str) -> None:
    """Refuse a file name that would leave its folder."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._+!-]*", name):
        raise ValueError(f"the index offers a file with the unusable name {name!r}")
