"""Takes back what unpack.unpack_in_runs does to this process."""

from __future__ import annotations

from movie_stream.kafka.batches import headers, unpack


def unpack_as_usual(topic: str) -> None:
    """From now on, aiokafka hands out this topic's records one by one again."""
    unpack._topics.discard(topic)
    if not unpack._topics:
        headers.take_any()
