"""Whom alerts are sent to, besides MongoDB: the log, webhooks, and what apprise knows."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from movie_stream.alerts import keys
from movie_stream.alerts.keys import Key, Reading
from movie_stream.alerts.rules import LOG
from movie_stream.masking import keep_secret
from movie_stream.settings import read_text

_NAME: Final = r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}"
_VARIABLE: Final = r"[A-Za-z_][A-Za-z0-9_]{0,127}"
_VALUE_BYTES: Final = 64 << 10
_WITHIN: Final = "a length of time from 1 s to 60 s, such as 10 s"
_RETRIED: Final = "a length of time from 1 min to 30 d, such as 3 d"


@dataclass(frozen=True, slots=True)
class Receiver:
    """One receiver; a message is tried again for `retry_for_ms`, and then given up."""

    name: str
    """As rules call it."""
    within_s: float = 10.0
    """How long it may take to answer."""
    retry_for_ms: int = 3 * 86_400_000


@dataclass(frozen=True, slots=True)
class Log(Receiver):
    """A line in the log."""


@dataclass(frozen=True, slots=True)
class Webhook(Receiver):
    """A POST of JSON, signed where there is a secret."""

    url: str = field(default="", repr=False)
    secret: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Apprise(Receiver):
    """A mail, or a message in a chat: what the URLs say, in the notation of apprise."""

    urls: tuple[str, ...] = field(default=(), repr=False)


_WHEN: Final = (
    Key("timeout", _WITHIN, keys.length_ms(timedelta(seconds=1), timedelta(minutes=1)), 10_000),
    Key("retry_for", _RETRIED, keys.length_ms(timedelta(minutes=1), timedelta(days=30)), 3 * 86_400_000),
)
_VARIABLE_WORDS: Final = "the name of an environment variable that has it, or whose name with _FILE has the file's path"
_WEBHOOK: Final = (
    Key("url", "an address that begins with http:// or https://", lambda value: _url(value), None),
    Key("url_env", _VARIABLE_WORDS, keys.text(_VARIABLE), None),
    Key("secret_env", _VARIABLE_WORDS, keys.text(_VARIABLE), None),
    *_WHEN,
)
_APPRISE: Final = (
    Key("urls", "a list of URLs of apprise, such as mailto://...", keys.texts, None),
    Key("urls_env", _VARIABLE_WORDS, keys.text(_VARIABLE), None),
    *_WHEN,
)


def read_receivers(reading: Reading, file: Mapping[str, Any], environment: Mapping[str, str]) -> dict[str, Receiver]:
    """The receivers that the file declares, by name, and the log."""
    found: dict[str, Receiver] = {LOG: Log(LOG)}
    for kind, allowed in (("webhook", _WEBHOOK), ("apprise", _APPRISE)):
        tables = file.get(kind, {})
        if not isinstance(tables, Mapping):
            reading.expected((kind,), f"tables such as [{kind}.ops]", tables)
            continue
        for name, table in tables.items():
            path = (kind, name)
            if not re.fullmatch(_NAME, name):
                reading.expected(path, f"a name of letters, digits, dashes and underscores after {kind}.", name)
            before = len(reading.mistakes)
            values = reading.values(table, path, allowed)
            one = "url" if kind == "webhook" else "urls"
            if len(reading.mistakes) == before and (values[one] is None) == (values[f"{one}_env"] is None):
                got = "nothing" if values[one] is None else "both"
                reading.wrong(path, f"{kind}.{name}: expected either {one} or {one}_env, got {got}")
            if len(reading.mistakes) == before:
                make = _webhook if kind == "webhook" else _apprise
                found[f"{kind}.{name}"] = make(reading, name, values, environment)
    return found


def _webhook(reading: Reading, name: str, values: Mapping[str, Any], environment: Mapping[str, str]) -> Receiver:
    path = ("webhook", name)
    url, secret = values["url"], None
    if values["url_env"] is not None:
        url = _variable(reading, (*path, "url_env"), values["url_env"], environment)
        try:
            url = _url(url) if url else ""
        except ValueError:
            reading.wrong((*path, "url_env"), f"{values['url_env']}: expected an address that begins with https://")
    if url:
        keep_secret(url)
    if values["secret_env"] is not None:
        secret = _variable(reading, (*path, "secret_env"), values["secret_env"], environment)
        if secret:
            keep_secret(secret)
    return Webhook(f"webhook.{name}", values["timeout"] / 1_000, values["retry_for"], url, secret)


def _apprise(reading: Reading, name: str, values: Mapping[str, Any], environment: Mapping[str, str]) -> Receiver:
    urls = values["urls"]
    if urls is None:
        text = _variable(reading, ("apprise", name, "urls_env"), values["urls_env"], environment)
        urls = tuple(text.split())
    for url in urls:
        keep_secret(url)
        if not urlsplit(url).scheme:
            reading.wrong(
                ("apprise", name),
                f"apprise.{name}: expected URLs of apprise, such as mailto://..., got one without ://",
            )
    return Apprise(f"apprise.{name}", values["timeout"] / 1_000, values["retry_for"], urls)


def _variable(reading: Reading, path: tuple[str, ...], variable: str, environment: Mapping[str, str]) -> str:
    """What a variable, or the file that it names, holds."""
    value, file = environment.get(variable), environment.get(f"{variable}_FILE")
    if value:
        return value.strip()
    if not file:
        reading.wrong(path, f"{'.'.join(path)}: {variable} is not set, nor {variable}_FILE; set one of them")
        return ""
    try:
        return read_text(Path(file), at_most_bytes=_VALUE_BYTES).strip()
    except (OSError, ValueError) as error:
        why = "it is not UTF-8" if isinstance(error, UnicodeDecodeError) else error
        reading.wrong(path, f"{variable}_FILE: expected the path of a readable text file, got {file} ({why})")
        return ""


def _url(value: Any) -> str:
    if not isinstance(value, str) or not value.isascii() or any(char <= " " for char in value):
        raise ValueError
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname or (parts.port or 1) < 1:  # port: ValueError
        raise ValueError
    return value
