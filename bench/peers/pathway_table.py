"""Pathway as in its documentation: a Kafka connector with a schema, a tumbling window. SERVERS TOPIC EVENTS.

By minute and genre: views; mean, maximum and minimum of the ratings; sum of the durations.
"""

import json
import sys
import uuid
from datetime import timedelta
from typing import Any

import pathway as pw

counted: dict[Any, int] = {}


class View(pw.Schema):
    genre: str
    timestamp: int
    rating: float
    duration: int


def main(servers: str, topic: str, events: int) -> None:
    def notice(key: Any, row: dict[str, Any], time: int, is_addition: bool) -> None:
        counted[key] = counted.get(key, 0) + (row["views"] if is_addition else -row["views"])

    def look(time: int) -> None:
        if sum(counted.values()) == events:
            report("last", events=events)

    settings = {
        "bootstrap.servers": servers,
        "group.id": f"peer-pathway-{uuid.uuid4().hex[:8]}",
        "auto.offset.reset": "earliest",
    }
    views = pw.io.kafka.read(settings, topic=topic, schema=View, format="json")
    timed = views.with_columns(time=views.timestamp.dt.utc_from_timestamp(unit="ms"))
    minutes = timed.windowby(
        timed.time, window=pw.temporal.tumbling(duration=timedelta(minutes=1)), instance=timed.genre
    ).reduce(
        genre=pw.this._pw_instance,
        start=pw.this._pw_window_start,
        views=pw.reducers.count(),
        mean=pw.reducers.avg(pw.this.rating),
        most=pw.reducers.max(pw.this.rating),
        least=pw.reducers.min(pw.this.rating),
        minutes=pw.reducers.sum(pw.this.duration),
    )
    pw.io.subscribe(minutes, on_change=notice, on_time_end=look)
    report("first")
    pw.run(monitoring_level=pw.MonitoringLevel.NONE)


def report(mark: str, **more: int) -> None:
    print(json.dumps({"mark": mark, **more}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
