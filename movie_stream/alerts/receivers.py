"""The receivers of alerts, besides MongoDB: the log, webhooks, and the services of apprise."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from movie_stream.alerts import keys
from movie_stream.alerts.keys import WRONG, Key, Reading
from movie_stream.alerts.rules import LOG
from movie_stream.masking import keep_secret
from movie_stream.settings import read_text

_NAME: Final = r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}"
_VARIABLE: Final = r"[A-Za-z_][A-Za-z0-9_]{0,127}"
_VALUE_BYTES: Final = 64 << 10
_WITHIN: Final = "a length of time from 1 s to 60 s, such as 10 s"
_ADDRESS: Final = "an address that begins with http:// or https://"
_RETRIED: Final = "a length of time from 1 min to 30 d, such as 3 d"


@dataclass(frozen=True, slots=True)
class Receiver:
    """One receiver; a failed message is retried for `retry_for_ms`, and then given up."""

    name: str
    """The name by which rules refer to it."""
    within_s: float = 10.0
    """The timeout of a message in seconds."""
    retry_for_ms: int = 3 * 86_400_000


@dataclass(frozen=True, slots=True)
class Log(Receiver):
    """A line in the log."""


@dataclass(frozen=True, slots=True)
class Webhook(Receiver):
    """A POST of JSON, signed if there is a secret."""

    url: str = field(default="", repr=False)
    secret: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Apprise(Receiver):
    """Mails or chat messages, by URLs in the notation of apprise."""

    urls: tuple[str, ...] = field(default=(), repr=False)


_TIMES: Final = (
    Key("timeout", _WITHIN, keys.length_ms(timedelta(seconds=1), timedelta(minutes=1)), 10_000),
    Key("retry_for", _RETRIED, keys.length_ms(timedelta(minutes=1), timedelta(days=30)), 3 * 86_400_000),
)
_VARIABLE_WORDS: Final = "the name of an environment variable that has it, or whose name with _FILE has the file's path"
_WEBHOOK: Final = (
    Key("url", _ADDRESS, lambda value: _url(value), None, secret=True),
    Key("url_env", _VARIABLE_WORDS, keys.text(_VARIABLE), None, secret=True),
    Key("secret_env", _VARIABLE_WORDS, keys.text(_VARIABLE), None, secret=True),
    *_TIMES,
)
_APPRISE: Final = (
    Key("urls", "a list of URLs of apprise, such as mailto://...", keys.texts, None, secret=True),
    Key("urls_env", _VARIABLE_WORDS, keys.text(_VARIABLE), None, secret=True),
    *_TIMES,
)


Knows = Callable[[str], bool]
"""Whether apprise can send to a URL."""


def read_receivers(
    reading: Reading, file: Mapping[str, Any], environment: Mapping[str, str], knows: Knows | None = None
) -> dict[str, Receiver]:
    """The receivers that the file declares, by name, and the log; without `knows` URLs of apprise are not checked."""
    found: dict[str, Receiver] = {LOG: Log(LOG)}
    for kind, allowed in (("webhook", _WEBHOOK), ("apprise", _APPRISE)):
        tables = file.get(kind, {})
        if not isinstance(tables, Mapping):
            reading.wrong((kind,), f"{kind}: expected tables such as [{kind}.ops], got {keys.kind_of(tables)}")
            continue
        for name, table in tables.items():
            path = (kind, name)
            if not re.fullmatch(_NAME, name):
                reading.expected(
                    path, f"a name of letters, digits, dashes and underscores, at most 64, after {kind}.", name
                )
            before = len(reading.mistakes)
            values = reading.values(table, path, allowed)
            if not isinstance(table, Mapping):
                continue
            one = "url" if kind == "webhook" else "urls"
            given = [key for key in (one, f"{one}_env") if values.get(key, WRONG) is not None]
            if len(given) != 1:
                got = "both" if given else "nothing"
                reading.wrong(path, f"{keys.name_of(path)}: expected either {one} or {one}_env, got {got}")
            if kind == "webhook":
                receiver = _webhook(reading, path, values, environment)
            else:
                receiver = _apprise(reading, path, values, environment, knows)
            if len(reading.mistakes) == before:
                found[receiver.name] = receiver
    return found


def _webhook(
    reading: Reading, path: tuple[str, str], values: Mapping[str, Any], environment: Mapping[str, str]
) -> Receiver:
    url = values.get("url") or ""
    if (variable := values.get("url_env")) is not None:
        url = _variable(reading, (*path, "url_env"), variable, environment)
        try:
            url = _url(url) if url else ""
        except ValueError:
            words = f"{variable}: expected {_ADDRESS}, got another text"
            reading.wrong((*path, "url_env"), f"{keys.name_of((*path, 'url_env'))}, {words}")
    if url:
        keep_secret(url)
    secret = None
    if (variable := values.get("secret_env")) is not None:
        secret = _variable(reading, (*path, "secret_env"), variable, environment)
        if secret:
            keep_secret(secret)
    return Webhook(".".join(path), *_times(values), url, secret)


def _apprise(
    reading: Reading,
    path: tuple[str, str],
    values: Mapping[str, Any],
    environment: Mapping[str, str],
    knows: Knows | None,
) -> Receiver:
    urls: Sequence[str] = values.get("urls") or ()
    key_path: tuple[str, ...] = (*path, "urls")
    if (variable := values.get("urls_env")) is not None:
        key_path = (*path, "urls_env")
        urls = _variable(reading, key_path, variable, environment).split()
    for url in urls:
        keep_secret(url)
    for number, url in enumerate(urls, 1):
        if (scheme := scheme_of(url)) is None:
            got = f"got one without ://, number {number}"
        elif knows is not None and not knows(url):
            got = f"got one that it cannot send to, number {number}, which begins with {scheme}://"
        else:
            continue
        reading.wrong(key_path, f"{keys.name_of(key_path)}: expected URLs of apprise, such as mailto://..., {got}")
    return Apprise(".".join(path), *_times(values), tuple(urls))


def _times(values: Mapping[str, Any]) -> tuple[float, int]:
    """The timeout in seconds, and the time for retries in milliseconds; 0 if the file has a mistake there."""
    return values.get("timeout", 0) / 1_000, values.get("retry_for", 0)


def scheme_of(url: str) -> str | None:
    """The scheme of a URL, which is never a secret; None if there is none.

    >>> scheme_of("tgram://123:token/chat"), scheme_of("hunter2")
    ('tgram', None)
    """
    found = re.match(r"([A-Za-z][A-Za-z0-9+.-]{0,31})://", url)
    return found and found[1]


def _variable(reading: Reading, path: tuple[str, ...], variable: str, environment: Mapping[str, str]) -> str:
    """The value of a variable, or the content of the file that it names."""
    value, file = environment.get(variable), environment.get(f"{variable}_FILE")
    if value:
        return value.strip()
    if not file:
        reading.wrong(path, f"{keys.name_of(path)}: {variable} is not set, nor {variable}_FILE; set one of them")
        return ""
    try:
        return read_text(Path(file), at_most_bytes=_VALUE_BYTES).strip()
    except (OSError, ValueError) as error:
        why = "it is not UTF-8" if isinstance(error, UnicodeDecodeError) else getattr(error, "strerror", None) or error
        words = f"{variable}_FILE: expected the path of a readable text file, got {file!r} ({why})"
        reading.wrong(path, f"{keys.name_of(path)}, {words}")
        return ""


def _url(value: Any) -> str:
    if not isinstance(value, str) or not value.isascii() or any(char <= " " for char in value):
        raise ValueError
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname or (parts.port or 1) < 1:  # port: ValueError
        raise ValueError
    return value
