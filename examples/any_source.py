"""Makes a producer of any source of views: here of an HTTP API that answers page by page, served by this very program.

It needs KAFKA_BOOTSTRAP_SERVERS and MONGODB_URI, in the environment or in .env, and the topic:

    movie-stream init
    python examples/any_source.py
"""

from __future__ import annotations

import asyncio
import json
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.request import urlopen

from movie_stream import Results, ViewProducer
from movie_stream.errors import MovieStreamError

FILMS = [("tt0078748", "Alien", "Sci-Fi"), ("tt0088846", "Brazil", "Comedy"), ("tt0113277", "Heat", "Crime")]
PAGES = 4


async def views_of(url: str) -> AsyncIterator[dict[str, Any]]:
    """The views of all pages, from this one on. This generator is all that a source has to be."""
    next_url: str | None = url
    while next_url:
        page = await asyncio.to_thread(fetch, next_url)  # it blocks, so it gets a thread
        for view in page["views"]:
            yield view
        next_url = page["next"]


def fetch(url: str) -> Any:
    """A page of the API."""
    with urlopen(url, timeout=10) as response:
        return json.load(response)


async def main() -> None:
    """Sends what the API has, and asks how much is counted already."""
    with api() as url:
        async with ViewProducer() as producer:
            sent = await producer.send_all(views_of(url), rate=1_000, refused=print)
    print(f"Sent {sent} views.")
    async with Results() as results:
        print(f"{await results.total_views()} are counted; a worker counts the others: movie-stream worker")


# ---- the API, for want of a real one -------------------------------------------------------------------------------


class Api(BaseHTTPRequestHandler):
    """Answers with a page of views and the address of the next page."""

    def do_GET(self) -> None:
        """Answers /1, /2 and so on; the last page has a view that breaks the contract."""
        number = int(self.path.removeprefix("/"))
        following = f"http://{self.headers['Host']}/{number + 1}" if number < PAGES else None
        views = [
            {
                "movie_id": movie_id,
                "title": title,
                "genre": genre,
                "user_id": f"user_{number}",
                "timestamp": time.time_ns() // 1_000_000,
                "rating": 9 if number == PAGES and title == "Heat" else 4.5,
            }
            for movie_id, title, genre in FILMS
        ]
        body = json.dumps({"views": views, "next": following}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@contextmanager
def api() -> Iterator[str]:
    """The address of its first page, for the time of the block."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Api) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/1"
        finally:
            server.shutdown()
            thread.join()


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except MovieStreamError as error:
        sys.exit(f"error: {error}")
