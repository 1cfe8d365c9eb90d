"""A package index on loopback that serves a folder of wheels, as slowly as one likes."""

from __future__ import annotations

import json
import threading
import time
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote, unquote

from examples.mirror.download import CHUNK, digest_of
from examples.mirror.listing import normalized

JSON = "application/vnd.pypi.simple.v1+json"


class Origin:
    """Serves `wheels` until closed; each request waits `latency` seconds first."""

    def __init__(self, wheels: Path, latency: float, port: int = 0) -> None:
        self.wheels = wheels
        self.latency = latency
        self.files = {path.name: digest_of(path) for path in sorted(wheels.glob("*.whl"))}
        self._server = _bind(partial(_Handler, self), port)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def port(self) -> int:
        """Where it listens on 127.0.0.1."""
        return int(self._server.server_address[1])

    @property
    def index_url(self) -> str:
        """What `--index-url` takes."""
        return f"http://127.0.0.1:{self.port}/simple"

    def projects(self) -> list[str]:
        """The names of all projects that have a wheel here."""
        return sorted({project_of(name) for name in self.files})

    def wait(self) -> None:
        """What goes before each answer."""
        time.sleep(self.latency)

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()


def project_of(wheel: str) -> str:
    """The project that a wheel's file name begins with."""
    return normalized(wheel.split("-", 1)[0])


def _bind(handler: partial[_Handler], port: int) -> ThreadingHTTPServer:
    try:
        return _Server(("127.0.0.1", port), handler)
    except OSError:
        return _Server(("127.0.0.1", 0), handler)  # somebody has taken the port meanwhile


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, origin: Origin, *args: object) -> None:
        self._origin = origin
        super().__init__(*args)  # type: ignore[arg-type]  # request, address and server, as given

    def do_GET(self) -> None:
        self._origin.wait()
        parts = [unquote(part) for part in self.path.strip("/").split("/")]
        if len(parts) == 2 and parts[0] == "simple":
            self._send_page(parts[1])
        elif len(parts) == 2 and parts[0] == "files" and parts[1] in self._origin.files:
            self._send_file(self._origin.wheels / parts[1])
        else:
            self.send_error(404)

    def _send_page(self, project: str) -> None:
        files = {n: h for n, h in self._origin.files.items() if project_of(n) == project}
        if not files:
            self.send_error(404)
        elif JSON in self.headers.get("Accept", ""):
            listed = [
                {"filename": name, "url": f"/files/{quote(name)}", "hashes": {"sha256": digest}}
                for name, digest in files.items()
            ]
            page = {"meta": {"api-version": "1.0"}, "name": project, "files": listed}
            self._send(JSON, json.dumps(page).encode())
        else:
            links = [
                f'<a href="/files/{quote(name)}#sha256={digest}">{name}</a><br>'
                for name, digest in files.items()
            ]
            self._send("text/html", "\n".join(["<!DOCTYPE html>", *links]).encode())

    def _send(self, kind: str, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _send_file(self, path: Path) -> None:
        size = path.stat().st_size
        start = self._asked_start()
        if start and start >= size:
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        self.send_header("Content-Type", "application/octet-stream")
        self.send_header("Content-Length", str(size - start))
        if start:
            self.send_header("Content-Range", f"bytes {start}-{size - 1}/{size}")
        self.end_headers()
        with path.open("rb") as file:
            file.seek(start)
            while chunk := file.read(CHUNK):
                self.wfile.write(chunk)

    def _asked_start(self) -> int:
        """Where `Range: bytes=N-` wants to begin; other ranges are ignored, as they may be."""
        asked = self.headers.get("Range", "")
        number = asked.removeprefix("bytes=").removesuffix("-")
        return int(number) if asked.startswith("bytes=") and number.isdigit() else 0

    def handle(self) -> None:
        try:
            super().handle()
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True  # a client was killed; it will come back

    def log_message(self, *args: object) -> None:
        """Say nothing: the mirror tells what it does."""
