"""How a message is sent to each kind of receiver: a line in the log, a signed POST, or what apprise makes of it."""

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
"""In which apprise sends."""
_REMEMBERED: Final = 10_000
"""Messages of which it is known where they have arrived."""
_RETRY_AFTER_AT_MOST_S: Final = 3_600.0
_WITHDRAWN: Final = "alert is withdrawn, views that came later or a change of the rules undo it"
_VERBS: Final = {"started": "alert", "ended": "alert has ended", "withdrawn": _WITHDRAWN}


@dataclass(frozen=True, slots=True)
class Origin:
    """Of which installation an alert is: several may have the same rules, and tell the same receiver."""

    database: str
    topic: str
    group: str

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """That of these settings."""
        return cls(settings.mongodb_database, settings.kafka_topic, settings.kafka_group)


class NotSent(Exception):
    """A message did not arrive: the reason, when the receiver wants it again, if it says so, and whether it has arrived
    at a part of what the receiver stands for.
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


def insist_on_libraries(receivers: Mapping[str, Receiver]) -> None:
    """Raises AppriseMissing."""
    for receiver in receivers.values():
        if isinstance(receiver, Apprise) and find_spec("apprise") is None:
            raise AppriseMissing(receiver=receiver.name)


class Sender:
    """Sends messages; keeps the connections of webhooks for as long as the `async with` block runs."""

    def __init__(self, origin: Origin) -> None:
        self._origin = origin
        # Not the loop's own: a thread cannot be stopped, and services that do not answer would fill that one.
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="apprise")
        self._arrived: dict[str, set[str]] = {}
        """The URLs that have messages which are to be tried again, by the messages' ids."""
        self._said_unknown = set[str]()

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(headers={"User-Agent": f"movie-stream/{__version__}"})
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
        await self._session.close()

    async def send(self, receiver: Receiver, message: Message) -> None:
        """Returns once the receiver has it. Raises NotSent."""
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
        """Each URL for itself, so that one that is wrong, away or slow keeps the message from no other; where it has
        arrived at some and is tried again, it goes to the others, as long as this process lives.
        """
        arrived = self._arrived.setdefault(message.id, set())
        while len(self._arrived) > _REMEMBERED:
            del self._arrived[next(iter(self._arrived))]
        loop = asyncio.get_running_loop()
        missing = [url for url in dict.fromkeys(receiver.urls) if url not in arrived]
        told = [loop.run_in_executor(self._threads, _notify_by, url, message, arrived) for url in missing]
        try:
            async with asyncio.timeout(receiver.within_s):
                outcomes = dict(zip(missing, await asyncio.gather(*told), strict=True))
        except TimeoutError as error:
            raise NotSent(f"no answer within {receiver.within_s:g} s", partly=bool(arrived)) from error
        self._say_which_are_unknown(receiver, [url for url, of in outcomes.items() if of == "unknown"])
        failed = [url for url, of in outcomes.items() if of == "failed"]
        if failed:
            said = "its own lines in the log say why"
            raise NotSent(
                f"apprise could not send it to all of its URLs: {_which(receiver, failed)}; {said}",
                partly=bool(arrived),
            )
        if not arrived:
            raise NotSent("apprise can send to none of its URLs; see which with: movie-stream alerts check")
        del self._arrived[message.id]

    def _say_which_are_unknown(self, receiver: Apprise, urls: Sequence[str]) -> None:
        if urls and receiver.name not in self._said_unknown:
            self._said_unknown.add(receiver.name)
            logger.error(
                "%s: apprise cannot send to all of its URLs, and does to the others: %s; see also: "
                "movie-stream alerts check",
                *(receiver.name, _which(receiver, urls)),
            )


def _which(receiver: Apprise, urls: Sequence[str]) -> str:
    """URLs without what may be secret in them: their numbers, and how they begin."""
    return ", ".join(f"number {receiver.urls.index(url) + 1} ({scheme_of(url) or 'no URL'}://)" for url in urls)


def apprise_knows(url: str) -> bool:
    """Whether apprise, which has to be installed, can make something of a URL. Nothing is sent, and nothing logged."""
    log = logging.getLogger("apprise")
    before, log.disabled = log.disabled, True
    try:
        return import_module("apprise").Apprise.instantiate(url) is not None
    finally:
        log.disabled = before


def _notify_by(url: str, message: Message, arrived: set[str]) -> Literal["arrived", "failed", "unknown"]:
    """Takes as long as it takes."""
    apprise = import_module("apprise")  # it looks at some hundred files
    kind = {"started": "warning", "ended": "success", "withdrawn": "info"}[message.transition]
    if message.transition == "started" and message.body["severity"] == "critical":
        kind = "failure"
    told = apprise.Apprise()
    if not told.add([url]):
        return "unknown"
    title = f"{message.body['severity']}: {message.body['rule']}"
    if not told.notify(line_of(message), title, apprise.NotifyType(kind), body_format="text"):
        return "failed"
    arrived.add(url)
    return "arrived"


def line_of(message: Message) -> str:
    """The message in a line, for people."""
    body = message.body
    end = (
        "" if body["end"] is None or message.transition == "started" else f"; over at {body['end']:%Y-%m-%d %H:%M} UTC"
    )
    return f"{_VERBS[message.transition]}, {body['severity']}, {body['rule']}: {printable(str(body['text']))}{end}"


def payload_of(message: Message, origin: Origin) -> bytes:
    """The message as JSON: the alert, what has become of it, which message about it this is, and whose alert it is."""
    body: dict[str, Any] = {
        "transition": message.transition,
        "number": message.number,
        "source": asdict(origin),
        "alert": dict(message.body),
    }
    return json_of(body)


def key_of(message: Message, origin: Origin) -> str:
    """By which a receiver knows a message that comes again; the same for all receivers."""
    parts = [*astuple(origin), message.alert, message.number, message.transition]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def signature(secret: str, time_s: int, body: bytes) -> str:
    """What the header `Movie-Stream-Signature` has: the time, and an HMAC of it and of the body.

    >>> signature("secret", 1730383200, b"{}")[:22]
    't=1730383200,v1=1d21ea'
    """
    signed = hmac.digest(secret.encode(), f"{time_s}.".encode() + body, hashlib.sha256)
    return f"t={time_s},v1={signed.hex()}"


def _seconds(retry_after: str) -> float:
    """What `Retry-After` says in seconds, within bounds; a date is passed over."""
    return min(float(retry_after), _RETRY_AFTER_AT_MOST_S) if retry_after.isascii() and retry_after.isdigit() else 0.0
