"""Notifications of changed documents, for the subscribers of a Sink."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from movie_stream.mongo.guard import GuardedDocument, body_of

REMEMBERED_BYTES: Final = 16 << 20
"""The most bytes of reported documents to remember, as BSON; the oldest are dropped beyond that."""


class Written(NamedTuple):
    """A document that is stored in MongoDB as it was sent."""

    document: GuardedDocument
    certain: bool
    """See Changed."""


@dataclass(frozen=True, slots=True)
class Changed:
    """A document that was inserted or replaced, and is on disk at a majority."""

    document: GuardedDocument
    """The document, with the `_rev` and run that it is exact for."""
    certain: bool
    """Whether MongoDB confirmed that this write changed it. Else it is stored as it was sent, but may have been stored
    before: the reply to an earlier attempt was lost, or it was made again after a restart.
    """
    _old: bytes | None = field(default=None, repr=False)

    @property
    def old(self) -> Mapping[str, Any] | None:
        """The fields that the same Sink reported before; None if there were none, or if they were dropped. Another
        writer may have replaced the document in between.
        """
        return None if self._old is None else body_of(self._old)


Subscriber = Callable[[Sequence[Changed]], None]
"""Called in the event loop while the flush waits: it should only enqueue the documents. An exception ends the flush and
the worker.
"""


class ReportedDocuments:
    """A cache of the documents reported last, up to REMEMBERED_BYTES."""

    def __init__(self) -> None:
        self._documents = OrderedDict[tuple[str, str], bytes]()
        self._size = 0

    def replace(self, written: Written) -> Changed:
        """Caches a document; returns the change from its previous version."""
        key, encoded = (written.document.collection, written.document.id), written.document.encoded
        old = self._documents.pop(key, None)
        self._documents[key] = encoded
        self._size += len(encoded) - len(old or b"")
        while self._size > REMEMBERED_BYTES:
            _, dropped = self._documents.popitem(last=False)
            self._size -= len(dropped)
        return Changed(written.document, written.certain, old)
