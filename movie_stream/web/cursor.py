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

from movie_stream.mongo.query import Position
from movie_stream.web.session import Doorkeeper

LONGEST: Final = 2_048
_SEAL_BYTES: Final = 16
_AWARE: Final[CodecOptions[dict[str, Any]]] = CodecOptions(tz_aware=True, tzinfo=UTC)


class Sealer:
    """Seals positions with a key that nobody else has."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    @classmethod
    def new(cls, keeper: Doorkeeper) -> Self:
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
