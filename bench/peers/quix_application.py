"""Quix Streams as in its documentation: grouped by genre, a tumbling window. SERVERS TOPIC EVENTS.

By minute and genre: views; mean, maximum and minimum of the ratings; sum of the durations.
"""

import json
import sys
import uuid
from datetime import timedelta
from typing import Any

from quixstreams import Application
from quixstreams.dataframe.windows import Count, Max, Mean, Min, Sum

GRACE = timedelta(hours=3)
"""The length of the topic, so that nothing is late, since partitions are read at different speeds."""
begun = False
seen = 0


def main(servers: str, topic: str, events: int) -> None:
    def notice(_: Any) -> None:
        global seen
        seen += 1
        if seen == events:
            report("last", events=seen)

    app = Application(
        broker_address=servers,
        consumer_group=f"peer-quix-{uuid.uuid4().hex[:8]}",
        auto_offset_reset="earliest",
        state_dir="state",
        loglevel="ERROR",
    )
    views = app.topic(topic, value_deserializer="json", timestamp_extractor=time_of)
    minutes = app.dataframe(views).group_by("genre").tumbling_window(timedelta(minutes=1), grace_ms=GRACE)
    minutes.agg(
        views=Count(), mean=Mean("rating"), most=Max("rating"), least=Min("rating"), minutes=Sum("duration")
    ).current().update(notice)
    app.run()


def time_of(view: Any, headers: Any, timestamp: float, timestamp_type: Any) -> int:
    global begun
    if not begun:
        begun = True
        report("first")
    return int(view["timestamp"])


def report(mark: str, **more: int) -> None:
    print(json.dumps({"mark": mark, **more}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
