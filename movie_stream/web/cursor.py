"""Cursors of pages: where a page ended, sealed so that only this server's own are taken, and only for their query.

>>> seal = Sealer(b"key")
>>> seal.opened(seal.sealed(("top", 3), "hourly_metrics by timestamp"), "hourly_metrics by timestamp")
('top', 3)
>>> seal.opened(seal.sealed((1,), "one query"), "another") is None
True
"""

from __future__ import annotations

import binascii
import hashlib
import hmac
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import UTC
from typing import Any, Final, Self

import bson
from bson.codec_options import CodecOptions
from bson.errors import BSONError

from movie_stream.aggregates.results import DISPLAY_NAMES
from movie_stream.events.contract import TEXTS
from movie_stream.mongo.query import Position
from movie_stream.web.session import Authenticator

_SEAL_BYTES: Final = 16
_OTHERS_BYTES: Final = 512
"""Room for all that is no text of an event: times, numbers, what an `_id` begins and ends with, and BSON's own."""
_MOST_TEXT: Final = sum(rule.longest for rule in TEXTS.values())
_MOST_AGAIN: Final = TEXTS["genre"].longest + max(TEXTS[column].longest for column in DISPLAY_NAMES if column in TEXTS)
"""In the slug and in the `_id`, which may be sorted by beside the texts that they are made of."""
_BYTES_A_CHARACTER: Final = 4
LONGEST: Final = -(-(_SEAL_BYTES + _OTHERS_BYTES + _BYTES_A_CHARACTER * (_MOST_TEXT + _MOST_AGAIN)) * 4 // 3)
"""The longest cursor, in characters: of a position with all texts that an event may have, each at its longest."""
_AWARE: Final[CodecOptions[dict[str, Any]]] = CodecOptions(tz_aware=True, tzinfo=UTC)


class Sealer:
    """Seals positions with a key that nobody else has."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    @classmethod
    def new(cls, keeper: Authenticator) -> Self:
        """One whose key is the token's, if there is one, so that cursors outlive the server; else one of its own."""
        return cls(keeper.key_for(b"movie-stream cursor 1") or secrets.token_bytes(32))

    def sealed(self, position: Position, query: str) -> str:
        """The position as a text, bound to the query that `query` tells apart from all others."""
        body = bson.encode({"p": list(position)})
        return urlsafe_b64encode(self._seal(body, query) + body).decode().rstrip("=")

    def opened(self, cursor: str, query: str) -> Position | None:
        """The position; None for a text that was not sealed for this query."""
        try:
            octets = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        except (binascii.Error, ValueError):
            return None
        seal, body = octets[:_SEAL_BYTES], octets[_SEAL_BYTES:]
        if not hmac.compare_digest(seal, self._seal(body, query)):
            return None
        try:
            return tuple(bson.decode(body, _AWARE)["p"])
        except (BSONError, KeyError):
            return None

    def _seal(self, body: bytes, query: str) -> bytes:
        return hmac.digest(self._key, query.encode() + b"\0" + body, hashlib.sha256)[:_SEAL_BYTES]
