"""Sends messages to each kind of receiver: a line in the log, a signed POST, or a notification by apprise."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import logging
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, astuple, dataclass
from importlib import import_module
from importlib.util import find_spec
from types import TracebackType
from typing import Any, Final, Literal, Self

import aiohttp

from movie_stream import __version__
from movie_stream.alerts.outbox import Message
from movie_stream.alerts.receivers import Apprise, Log, Receiver, Webhook, scheme_of
from movie_stream.errors import MovieStreamError
from movie_stream.masking import masked, printable
from movie_stream.mongo.written import json_of
from movie_stream.settings import Settings

logger = logging.getLogger("movie_stream.alerts")

SIGNATURE: Final = "Movie-Stream-Signature"
_LEVELS: Final[Mapping[str, int]] = {"info": logging.INFO, "warning": logging.WARNING, "critical": logging.ERROR}
_THREADS: Final = 8
"""The number of threads for apprise."""
_REMEMBERED: Final = 10_000
"""The most messages whose delivered URLs are remembered."""
_RETRY_AFTER_AT_MOST_S: Final = 3_600.0
_WITHDRAWN: Final = "alert is withdrawn, views that came later or a change of the rules undo it"
_VERBS: Final = {"started": "alert", "ended": "alert has ended", "withdrawn": _WITHDRAWN}


@dataclass(frozen=True, slots=True)
class Origin:
    """The installation of an alert: several may have the same rules and receivers."""

    database: str
    topic: str
    group: str

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """The installation of these settings."""
        return cls(settings.mongodb_database, settings.kafka_topic, settings.kafka_group)


class NotSent(Exception):
    """A message was not delivered: the reason, the seconds after which the receiver asks for a retry, if it does, and
    whether the message reached a part of the receiver's addresses.
    """

    def __init__(self, reason: str, after_s: float = 0.0, *, partly: bool = False) -> None:
        super().__init__(masked(printable(" ".join(reason.split())))[:500])
        self.after_s, self.partly = after_s, partly


class AppriseMissing(MovieStreamError):
    """The library that sends mails and messages is not installed.

    What to do: install the extra `notify`.

    >>> print(AppriseMissing(receiver="receiver ops"))
    receiver ops needs the library apprise; install it with: pip install 'movie-stream[notify]'
    """

    def __init__(self, *, receiver: str) -> None:
        super().__init__(f"{receiver} needs the library apprise; install it with: pip install 'movie-stream[notify]'")


def require_libraries(receivers: Mapping[str, Receiver]) -> None:
    """Raises AppriseMissing if a receiver needs apprise, and it is not installed."""
    for receiver in receivers.values():
        if isinstance(receiver, Apprise) and find_spec("apprise") is None:
            raise AppriseMissing(receiver=receiver.name)


class Sender:
    """Sends messages; keeps the connections of webhooks for as long as the `async with` block runs."""

    def __init__(self, origin: Origin) -> None:
        self._origin = origin
        # Not the loop's own executor: threads cannot be stopped, and services that do not answer would fill it.
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="apprise")
        self._arrived: dict[str, set[str]] = {}
        """The URLs that have received a message that is to be retried, by its id."""
        self._logged_unknown = set[str]()

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(headers={"User-Agent": f"movie-stream/{__version__}"})
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
        await self._session.close()

    async def send(self, receiver: Receiver, message: Message) -> None:
        """Sends a message; returns once the receiver has it. Raises NotSent."""
        match receiver:
            case Log():
                level = _LEVELS.get(message.body["severity"], logging.WARNING)
                logger.log(level if message.transition == "started" else logging.INFO, "%s", line_of(message))
            case Webhook():
                await self._post(receiver, message)
            case Apprise():
                await self._notify(receiver, message)

    async def _post(self, webhook: Webhook, message: Message) -> None:
        body = payload_of(message, self._origin)
        headers = {"Content-Type": "application/json", "Idempotency-Key": key_of(message, self._origin)}
        if webhook.secret is not None:
            headers[SIGNATURE] = signature(webhook.secret, int(time.time()), body)
        limit = aiohttp.ClientTimeout(total=webhook.within_s)
        try:
            async with self._session.post(
                webhook.url, data=body, headers=headers, allow_redirects=False, timeout=limit
            ) as response:
                status, after = response.status, response.headers.get("Retry-After", "")
        except TimeoutError as error:
            raise NotSent(f"no answer within {webhook.within_s:g} s") from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise NotSent(str(error) or type(error).__name__) from error
        if 300 <= status < 400:
            raise NotSent(f"it answers {status}, and redirects are not followed; set its url to where it is now")
        if not 200 <= status < 300:
            raise NotSent(f"it answers {status}", _seconds(after))

    async def _notify(self, receiver: Apprise, message: Message) -> None:
        """Sends to each URL separately, so that an invalid, unavailable or slow one blocks no other. A retry skips the
        URLs that have received the message, as long as this process lives.
        """
        arrived = self._arrived.setdefault(message.id, set())
        while len(self._arrived) > _REMEMBERED:
            del self._arrived[next(iter(self._arrived))]
        loop = asyncio.get_running_loop()
        missing = [url for url in dict.fromkeys(receiver.urls) if url not in arrived]
        sends = [loop.run_in_executor(self._threads, _notify_by, url, message, arrived) for url in missing]
        try:
            async with asyncio.timeout(receiver.within_s):
                outcomes = dict(zip(missing, await asyncio.gather(*sends), strict=True))
        except TimeoutError as error:
            raise NotSent(f"no answer within {receiver.within_s:g} s", partly=bool(arrived)) from error
        self._log_unknown(receiver, [url for url, outcome in outcomes.items() if outcome == "unknown"])
        failed = [url for url, outcome in outcomes.items() if outcome == "failed"]
        if failed:
            hint = "its own lines in the log say why"
            raise NotSent(
                f"apprise could not send it to all of its URLs: {_redacted(receiver, failed)}; {hint}",
                partly=bool(arrived),
            )
        if not arrived:
            raise NotSent("apprise can send to none of its URLs; see which with: movie-stream alerts check")
        del self._arrived[message.id]

    def _log_unknown(self, receiver: Apprise, urls: Sequence[str]) -> None:
        if urls and receiver.name not in self._logged_unknown:
            self._logged_unknown.add(receiver.name)
            logger.error(
                "%s: apprise cannot send to all of its URLs, and does to the others: %s; see also: "
                "movie-stream alerts check",
                *(receiver.name, _redacted(receiver, urls)),
            )


def _redacted(receiver: Apprise, urls: Sequence[str]) -> str:
    """URLs without secrets: their numbers and schemes."""
    return ", ".join(f"number {receiver.urls.index(url) + 1} ({scheme_of(url) or 'no URL'}://)" for url in urls)


def apprise_knows(url: str) -> bool:
    """Whether apprise, which has to be installed, supports a URL. Sends and logs nothing."""
    log = logging.getLogger("apprise")
    before, log.disabled = log.disabled, True
    try:
        return import_module("apprise").Apprise.instantiate(url) is not None
    finally:
        log.disabled = before


def _notify_by(url: str, message: Message, arrived: set[str]) -> Literal["arrived", "failed", "unknown"]:
    """Sends by apprise, which blocks without a time limit; runs in a thread."""
    apprise = import_module("apprise")  # slow: it scans hundreds of files
    kind = {"started": "warning", "ended": "success", "withdrawn": "info"}[message.transition]
    if message.transition == "started" and message.body["severity"] == "critical":
        kind = "failure"
    notifier = apprise.Apprise()
    if not notifier.add([url]):
        return "unknown"
    title = f"{message.body['severity']}: {message.body['rule']}"
    if not notifier.notify(line_of(message), title, apprise.NotifyType(kind), body_format="text"):
        return "failed"
    arrived.add(url)
    return "arrived"


def line_of(message: Message) -> str:
    """The message as one line of text."""
    body = message.body
    end = (
        "" if body["end"] is None or message.transition == "started" else f"; over at {body['end']:%Y-%m-%d %H:%M} UTC"
    )
    return f"{_VERBS[message.transition]}, {body['severity']}, {body['rule']}: {printable(str(body['text']))}{end}"


def payload_of(message: Message, origin: Origin) -> bytes:
    """The message as JSON: the transition, the message's number, the source installation, and the alert."""
    body: dict[str, Any] = {
        "transition": message.transition,
        "number": message.number,
        "source": asdict(origin),
        "alert": dict(message.body),
    }
    return json_of(body)


def key_of(message: Message, origin: Origin) -> str:
    """The idempotency key, by which a receiver recognizes a repeated message; the same for all receivers."""
    parts = [*astuple(origin), message.alert, message.number, message.transition]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def signature(secret: str, time_s: int, body: bytes) -> str:
    """The header `Movie-Stream-Signature`: the time, and an HMAC of the time and the body.

    >>> signature("secret", 1730383200, b"{}")[:22]
    't=1730383200,v1=1d21ea'
    """
    signed = hmac.digest(secret.encode(), f"{time_s}.".encode() + body, hashlib.sha256)
    return f"t={time_s},v1={signed.hex()}"


def _seconds(retry_after: str) -> float:
    """The seconds of a `Retry-After` header, capped; 0 for a date."""
    return min(float(retry_after), _RETRY_AFTER_AT_MOST_S) if retry_after.isascii() and retry_after.isdigit() else 0.0
