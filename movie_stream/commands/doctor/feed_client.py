"""The client of the OData feed for `movie-stream doctor --bi`; it checks each link of the feed before following it."""

from __future__ import annotations

import http.client
import json
import ssl
import time
import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.message import Message
from typing import Any, Final
from urllib.parse import quote, urlsplit

from movie_stream.errors import MovieStreamError, UsageError
from movie_stream.masking import masked
from movie_stream.settings import Settings

WITHIN_S: Final = 10.0
"""The longest time for one answer."""
USER: Final = "movie-stream"
"""The user name sent with the token; the feed accepts any."""
_LARGEST: Final = 64 << 20
_EVERYWHERE: Final = ("0.0.0.0", "::", "")


class FeedSilent(MovieStreamError):
    """Nothing answers at the feed's address.

    What to do: start `movie-stream serve`, or name the address.

    >>> print(FeedSilent(url="http://localhost:8080/odata/", cause="Connection refused"))
    nothing answers at http://localhost:8080/odata/: Connection refused; start it with movie-stream serve, or set \
its address with --url
    """

    def __init__(self, *, url: str, cause: object) -> None:
        super().__init__(
            f"nothing answers at {url}: {cause}; start it with movie-stream serve, or set its address with --url"
        )


class NotAFeed(MovieStreamError):
    """The server at the feed's address is no OData feed, or redirects elsewhere.

    What to do: name the address of the feed, which ends in `/odata/`; a proxy has to pass it on unchanged.

    >>> print(NotAFeed(
    ...     "http://localhost:8080/odata/ leads on to http://localhost:9000/; name that address with --url"
    ... ))
    http://localhost:8080/odata/ leads on to http://localhost:9000/; name that address with --url
    """


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer of the feed."""

    url: str
    status: int
    headers: Mapping[str, str]
    challenges: str
    body: bytes
    took_s: float

    def json(self) -> dict[str, Any]:
        """The body. Raises NotAFeed if it is an error or not a JSON object."""
        if self.status != 200:
            raise NotAFeed(f"{self.url} answers {self.status}: {self.error_text()}; see the log of movie-stream serve")
        try:
            found = json.loads(self.body)
        except ValueError as error:
            raise self._no_feed() from error
        if not isinstance(found, dict):
            raise self._no_feed()
        return found

    def error_text(self) -> str:
        """The message of an error."""
        try:
            return str(json.loads(self.body)["error"]["message"])
        except (ValueError, KeyError, TypeError):
            return self.body[:80].decode("utf-8", "replace") or "nothing"

    def _no_feed(self) -> NotAFeed:
        return NotAFeed(f"{self.url} answers with no JSON of OData; set --url to the feed of movie-stream serve")


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """Follows no redirect: the token is for the given address alone."""

    def redirect_request(self, *_args: Any) -> None:
        """Returns None, so that no redirect is followed."""


@dataclass
class FeedClient:
    """A client of one feed, which sends the token and records how long each answer took."""

    base: str
    token: str | None
    took_s: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        handlers: list[urllib.request.BaseHandler] = [_NoRedirects()]
        if (urlsplit(self.base).hostname or "") in ("localhost", "127.0.0.1", "::1"):
            handlers.append(urllib.request.ProxyHandler({}))
        self._opener = urllib.request.build_opener(*handlers)

    def get(
        self, path: str, headers: Mapping[str, str] | None = None, *, anonymous: bool = False, **options: str
    ) -> Answer:
        """The answer at a path below the feed; `options` are system query options without their dollar.

        Raises FeedSilent and NotAFeed.
        """
        query = "&".join(f"${name}={quote(text, safe='')}" for name, text in options.items())
        return self.follow(self.base + path + ("?" + query if query else ""), headers, anonymous=anonymous)

    def follow(self, url: str, headers: Mapping[str, str] | None = None, *, anonymous: bool = False) -> Answer:
        """The answer at an address that the feed has linked to. Raises FeedSilent and NotAFeed."""
        if not url.startswith(self.base):
            raise NotAFeed(
                f"the feed's links lead to {url[:100]}, and not below {self.base}; "
                "let the proxy in front of it forward Host, and X-Forwarded-Proto: https"
            )
        request_headers = {"Accept": "application/json;odata.metadata=minimal, */*;q=0.1", "OData-MaxVersion": "4.0"}
        request_headers |= headers or {}
        if self.token is not None and not anonymous:
            request_headers["Authorization"] = "Basic " + b64encode(f"{USER}:{self.token}".encode()).decode()
        began = time.monotonic()
        status, got, body = self._asked(urllib.request.Request(url, headers=request_headers))
        took_s = time.monotonic() - began
        self.took_s.append(took_s)
        challenges = ", ".join(got.get_all("WWW-Authenticate") or [])
        if status in (301, 302, 303, 307, 308):
            raise NotAFeed(f"{url} leads on to {got.get('Location', '')[:200]}; set that address with --url")
        return Answer(url, status, dict(got.items()), challenges, body, took_s)

    def _asked(self, request: urllib.request.Request) -> tuple[int, Message, bytes]:
        try:
            with self._opener.open(request, timeout=WITHIN_S) as answer:
                return answer.status, answer.headers, answer.read(_LARGEST)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.headers, error.read(_LARGEST)
        except urllib.error.URLError as error:
            raise self._failed(error.reason) from error
        except (OSError, http.client.HTTPException) as error:
            raise self._failed(error) from error

    def _failed(self, cause: object) -> MovieStreamError:
        """The error for a request without an answer."""
        match cause:
            case ssl.SSLCertVerificationError():
                why = f"the certificate of {self.base} is not trusted: {cause.verify_message}"
                return NotAFeed(f"{why}; set SSL_CERT_FILE to the certificate of the authority that signed it")
            case ssl.SSLError():
                why = f"{self.base} does not speak TLS with us: {cause.reason or cause}"
                plain = (
                    "movie-stream serve itself speaks http, without TLS: use --url http://... or the proxy's address"
                )
                return NotAFeed(f"{why}; {plain}")
            case _:
                return FeedSilent(url=self.base, cause=cause or type(cause).__name__)


def client_for(settings: Settings, url: str | None) -> FeedClient:
    """A client of the feed at this address, by default of that which `movie-stream serve` has by these settings.

    >>> client_for(Settings(api_host="0.0.0.0", api_port=8080), None).base
    'http://127.0.0.1:8080/odata/'

    Raises UsageError for an invalid address.
    """
    token = settings.api_token.get_secret_value() if settings.api_token is not None else None
    if url is None:
        host = "127.0.0.1" if settings.api_host in _EVERYWHERE else settings.api_host
        return FeedClient(f"http://{f'[{host}]' if ':' in host else host}:{settings.api_port}/odata/", token)
    expected = "the address of the feed, such as https://bi.example.com/odata/"
    try:
        parts = urlsplit(url)
        usable = url.isascii() and url.isprintable() and " " not in url and parts.port != 0
    except ValueError as error:
        raise UsageError(argument="--url", expected=expected, got=masked(url)) from error
    if not usable or parts.scheme not in ("http", "https") or not parts.hostname or parts.query:
        raise UsageError(argument="--url", expected=expected, got=masked(url))
    if "@" in parts.netloc:
        without = "an address without a user and a password, since API_TOKEN is used instead"
        raise UsageError(argument="--url", expected=without, got=masked(url))
    path = parts.path.rstrip("/") or "/odata"
    return FeedClient(f"{parts.scheme}://{parts.netloc.lower()}{path}/", token)
