"""The pages: files of this package, read once and handed to everybody, for they tell nothing.

Their names hold a digest of all of them, so a browser asks for each once, and a page that was
opened before an upgrade never mixes old and new ones. Only the first, `/`, is asked for again.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from importlib.resources import files
from importlib.resources.abc import Traversable

import bottle

FIRST = "index.html"
POLICY = "; ".join(
    (
        "default-src 'none'",
        *(f"{kind}-src 'self'" for kind in ("script", "style", "img", "connect")),
        *(f"{kind} 'none'" for kind in ("base-uri", "form-action", "frame-ancestors")),
        # What would read a text as HTML fails, even if some page of ours tried.
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
)
_KINDS = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_VERSION = "@VERSION@"


@dataclass(frozen=True, slots=True)
class Asset:
    """A file as it is sent."""

    body: bytes
    packed: bytes
    kind: str
    tag: str


@dataclass(frozen=True, slots=True)
class Assets:
    """All files by their names, and what stands in their addresses for all of them."""

    version: str
    files: Mapping[str, Asset]


@cache
def read_assets() -> Assets:
    """The files of the package; they do not change while it runs."""
    found = dict(sorted(_read(files("taskd.web").joinpath("static"), "")))
    version = _digest(b"\0".join(name.encode() + b"\0" + body for name, body in found.items()))
    found[FIRST] = found[FIRST].replace(_VERSION.encode(), version.encode())
    return Assets(version, {name: _asset(name, body) for name, body in found.items()})


def add_routes(app: bottle.Bottle) -> None:
    """Let an application answer `/` and what that page asks for."""
    assets = read_assets()
    app.route("/", callback=lambda: _answer(assets.files[FIRST], "no-cache"))

    def named(name: str) -> bottle.HTTPResponse:
        asset = assets.files.get(name)
        if asset is None:
            raise bottle.HTTPError(404)
        return _answer(asset, "public, max-age=31536000, immutable")

    app.route(f"/static/{assets.version}/<name:path>", callback=named)


def _read(folder: Traversable, prefix: str) -> Iterator[tuple[str, bytes]]:
    for each in folder.iterdir():
        if each.is_dir():
            yield from _read(each, f"{prefix}{each.name}/")
        elif _ending(each.name) in _KINDS:
            yield prefix + each.name, each.read_bytes()


def _asset(name: str, body: bytes) -> Asset:
    packed = gzip.compress(body, 9, mtime=0)
    return Asset(body, packed, _KINDS[_ending(name)], f'"{_digest(body)}"')


def _ending(name: str) -> str:
    return name[name.rfind(".") :]


def _digest(body: bytes) -> str:
    return sha256(body).hexdigest()[:16]


def _answer(asset: Asset, keep: str) -> bottle.HTTPResponse:
    headers = {
        "Content-Type": asset.kind,
        "Cache-Control": keep,
        "ETag": asset.tag,
        "Vary": "Accept-Encoding",
        "Content-Security-Policy": POLICY,
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
    }
    known = bottle.request.get_header("If-None-Match", "")
    if asset.tag in (each.strip().removeprefix("W/") for each in known.split(",")):
        return bottle.HTTPResponse(b"", 304, headers)
    if "gzip" in bottle.request.get_header("Accept-Encoding", ""):
        return bottle.HTTPResponse(asset.packed, 200, {**headers, "Content-Encoding": "gzip"})
    return bottle.HTTPResponse(asset.body, 200, headers)
