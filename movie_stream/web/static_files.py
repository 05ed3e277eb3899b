"""The page and its files, from the folder static/: open to all, packed for who takes it, checked by their ETag."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from movie_stream.web.problems import Problem
from movie_stream.web.rendering import has_already

FOLDER: Final = Path(__file__).parent / "static"
INDEX: Final = "index.html"
_TYPES: Final[Mapping[str, str]] = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
}
"""By ending, of texts, which are packed; of our own, since those of a system may have another type for a script."""
_OTHER: Final = "application/octet-stream"
_WEIGHT: Final = re.compile(r"[01](\.[0-9]{0,3})?", re.ASCII)


def takes_gzip(accepted: str) -> bool:
    """Whether a header Accept-Encoding takes gzip.

    >>> [takes_gzip(header) for header in ("br, GZIP;q=0.5", "*", "", "gzip;q=0, *", "identity", "gzip;q=x")]
    [True, True, False, False, False, False]
    """
    weights = {}
    for part in accepted.lower().split(","):
        coding, _, parameter = part.partition(";")
        name, _, weight = parameter.partition("=")
        weights[coding.strip()] = weight.strip() if name.strip() == "q" else "1"
    weight = weights.get("gzip", weights.get("*", "0"))
    return _WEIGHT.fullmatch(weight) is not None and float(weight) > 0


@dataclass(frozen=True, slots=True)
class _File:
    """A file as it was read, and its state then."""

    state: tuple[int, int]
    body: bytes
    packed: bytes | None
    tag: str


class Files:
    """The files of a folder, each read once, and again when it has changed."""

    def __init__(self, folder: Path = FOLDER) -> None:
        self._folder = folder.resolve()
        self._read: dict[Path, _File] = {}

    async def response(self, request: Request, name: str) -> Response:
        """The file of this name. Raises a Problem (404) where there is none."""
        path = self._path(name)
        file = await asyncio.to_thread(self._file, path) if path is not None else None
        if path is None or file is None:
            raise Problem(404, f"there is no file {name[:80]!r} here; the page is at /")
        packed = file.packed if takes_gzip(request.headers.get("accept-encoding", "")) else None
        tag = file.tag if packed is None else f'{file.tag[:-1]}-gz"'
        headers = {"ETag": tag, "Cache-Control": "no-cache", "Vary": "Accept-Encoding"}
        if has_already(request, tag):
            return Response(status_code=304, headers=headers)
        if packed is not None:
            headers["Content-Encoding"] = "gzip"
        return Response(packed or file.body, 200, headers, _TYPES.get(path.suffix, _OTHER))

    def _path(self, name: str) -> Path | None:
        """Where the file is; None for what lies elsewhere, or cannot be a name."""
        if "\0" in name or "\\" in name or any(part in ("", ".", "..") for part in name.split("/")):
            return None
        path = (self._folder / name).resolve()
        return path if path.is_relative_to(self._folder) else None

    def _file(self, path: Path) -> _File | None:
        try:
            if not path.is_file():
                return None
            there = path.stat()
            state, known = (there.st_mtime_ns, there.st_size), self._read.get(path)
            if known is not None and known.state == state:
                return known
            body = path.read_bytes()
        except (OSError, ValueError):  # a name that is too long for the system, or a file that has gone
            return None
        packed = gzip.compress(body, 9, mtime=0) if path.suffix in _TYPES else None
        tag = f'"{hashlib.blake2b(body, digest_size=16).hexdigest()}"'
        self._read[path] = _File(state, body, packed, tag)
        return self._read[path]


def static_router(files: Files) -> APIRouter:
    """The page at `/`, its files under `/static/`."""
    router = APIRouter(include_in_schema=False)

    @router.get("/")
    async def index(request: Request) -> Response:
        return await files.response(request, INDEX)

    @router.get("/static/{name:path}")
    async def file(request: Request, name: str) -> Response:
        return await files.response(request, name)

    return router
