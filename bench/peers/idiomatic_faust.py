"""Faust as in its user guide: a record type, a windowed table, an agent. SERVERS TOPIC EVENTS.

It counts views by minute and genre. With several workers the stream would have to be grouped by genre first, which
costs another trip through the broker; with the one worker here the counts are correct without it.
"""

import json
import sys
import uuid
from datetime import timedelta
from typing import Any

SERVERS, TOPIC, EVENTS = sys.argv[1], sys.argv[2], int(sys.argv[3])
sys.argv = [sys.argv[0], "worker", "--without-web", "--loglevel", "error"]

import faust  # noqa: E402  (it reads sys.argv)


class View(faust.Record, serializer="json"):  # type: ignore[call-arg]
    movie_id: str
    title: str
    genre: str
    user_id: str
    timestamp: int
    rating: float
    duration: int


def seconds(event: Any) -> float:
    return float(event.value.timestamp / 1000)


app = faust.App(
    f"peer-faust-{uuid.uuid4().hex[:8]}", broker=f"kafka://{SERVERS}", store="memory://", topic_partitions=3
)
views = app.topic(TOPIC, value_type=View)
counts = (
    app.Table("views_by_minute_and_genre", default=int, partitions=3)
    .tumbling(timedelta(minutes=1), expires=timedelta(days=10_000))
    .relative_to(seconds)
)
seen = 0


@app.agent(views)
async def count(stream: Any) -> None:
    global seen
    async for view in stream:
        if not seen:
            report("first")
        counts[view.genre] += 1
        seen += 1
        if seen == EVENTS:
            report("last", events=seen)


def report(mark: str, **more: int) -> None:
    print(json.dumps({"mark": mark, **more}), file=sys.__stdout__, flush=True)


if __name__ == "__main__":
    app.main()
