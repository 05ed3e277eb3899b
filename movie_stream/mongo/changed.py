"""Which documents changed, for whoever subscribes to a Sink."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import bson
from bson.codec_options import CodecOptions

from movie_stream.mongo.guard import GuardedDocument

REMEMBERED_BYTES: Final = 16 << 20
"""Of documents that were reported, as BSON: the oldest are forgotten beyond that."""
_CODEC: Final[CodecOptions[dict[str, Any]]] = CodecOptions(tz_aware=True)
_OURS: Final = ("_id", "_rev", "_run")


class Written(NamedTuple):
    """A document that stands in MongoDB as it was sent, in its collection and as BSON."""

    document: GuardedDocument
    encoded: bytes
    certain: bool
    """See Changed."""


@dataclass(frozen=True, slots=True)
class Changed:
    """A document that was inserted or replaced, and is on the disks of a majority."""

    document: GuardedDocument
    """Its collection, id, body, and the `_rev` and run that it is right for."""
    certain: bool
    """Whether MongoDB's answer says that this write has changed it. Else it stands there as it was sent, but may have
    stood there before: the answer to an earlier attempt did not come, or it was made again after a restart.
    """
    _old: bytes | None = field(default=None, repr=False)

    @property
    def old(self) -> Mapping[str, Any] | None:
        """What the same Sink reported of it before; None where that was nothing, or is remembered no more. Another
        writer may have replaced it in between.
        """
        if self._old is None:
            return None
        return {name: value for name, value in bson.decode(self._old, _CODEC).items() if name not in _OURS}


Subscriber = Callable[[Sequence[Changed]], None]
"""Called in the event loop, while the flush waits: it is only to put away what it is given. What it raises ends the
flush, and the worker.
"""


class Remembered:
    """The documents that were reported last, up to REMEMBERED_BYTES."""

    def __init__(self) -> None:
        self._documents = OrderedDict[tuple[str, str], bytes]()
        self._size = 0

    def replace(self, written: Written) -> Changed:
        """Remembers a document in the place of what it was before."""
        place = written.document.collection, written.document.id
        old = self._documents.pop(place, None)
        self._documents[place] = written.encoded
        self._size += len(written.encoded) - len(old or b"")
        while self._size > REMEMBERED_BYTES:
            _, forgotten = self._documents.popitem(last=False)
            self._size -= len(forgotten)
        return Changed(written.document, written.certain, old)
