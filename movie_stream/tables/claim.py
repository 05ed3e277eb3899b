"""The claim on an internal topic: it belongs to one group that fills one database.

Two deployments that share such a topic would take each other's figures for their own, or stop each other. So a
deployment writes a claim into a topic before it uses it, and refuses one that has another's claim. The topic is the one
thing that both are sure to see; and a record in it needs no feature of the broker.
"""

from __future__ import annotations

from typing import Final

import msgspec

PARTITION: Final = 0
"""The partition of a topic that holds its claim."""


class Claim(msgspec.Struct, array_like=True, tag="claim", frozen=True):
    """One deployment. Records before the first of a run have `run` 0."""

    run: int
    group: str
    database: str
    address: str
    """MongoDB's address, without credentials."""
    identity: str
    """The identifier that MongoDB gave to the collection of runs: the same under each address of the database."""

    def is_of(self, other: Claim) -> bool:
        """Whether both are of the same deployment: a database may have moved, or have been emptied, but not both.

        >>> ours = Claim(7, "g", "movies", "mongodb://a:1", "x")
        >>> ours.is_of(Claim(7, "g", "movies", "mongodb://b:1", "y")), ours.is_of(Claim(0, "g", "movies", "b:1", "x"))
        (True, True)
        >>> ours.is_of(Claim(9, "g", "movies", "mongodb://a:1", "z")), ours.is_of(Claim(9, "g", "movies", "b:1", "z"))
        (True, False)
        """
        return self.group == other.group and (
            (self.run == other.run and self.run > 0)
            or (self.identity == other.identity and self.identity != "")
            or (self.database, self.address) == (other.database, other.address)
        )

    def __str__(self) -> str:
        return f"the group {self.group} with the database {self.database} at {self.address}"


_TAG: Final = b"\xa5claim"
"""The tag that a claim's array begins with, as a short msgpack string."""
_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(Claim)


def encode(claim: Claim) -> bytes:
    """The claim as a Kafka record's value."""
    return _ENCODER.encode(claim)


def claim_in(value: bytes | None) -> Claim | None:
    """The claim in a record's value; None if it is another record. Raises msgspec.DecodeError.

    >>> claim_in(encode(Claim(7, "g", "movies", "mongodb://a:1", "x"))).run, claim_in(b"..."), claim_in(None)
    (7, None, None)
    """
    return _DECODER.decode(value) if value is not None and value[1 : 1 + len(_TAG)] == _TAG else None
