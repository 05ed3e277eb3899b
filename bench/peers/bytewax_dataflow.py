"""Bytewax as in its documentation: a Kafka source, an event clock, a folding window. SERVERS TOPIC EVENTS.

By minute and genre: views; sum, maximum and minimum of the ratings; sum of the durations.
"""

import json
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

import bytewax.operators as op
import bytewax.operators.windowing as win
import orjson
from bytewax.connectors.kafka import KafkaSource
from bytewax.dataflow import Dataflow
from bytewax.run import cli_main
from bytewax.testing import TestingSink

GRACE = timedelta(hours=3)
"""The length of the topic, so that nothing is late, since partitions are read at different speeds."""
begun = False
seen = 0


def dataflow(servers: str, topic: str, events: int) -> Dataflow:
    def add(sums: list[Any], view: Any) -> list[Any]:
        global seen
        rating = view["rating"]
        sums[0] += 1
        sums[1] += rating
        sums[2] = max(sums[2], rating)
        sums[3] = min(sums[3], rating)
        sums[4] += view["duration"]
        seen += 1
        if seen == events:
            report("last", events=seen)
        return sums

    flow = Dataflow("minute_by_genre")
    views = op.input("views", flow, KafkaSource([servers], [topic], tail=False, batch_size=10_000))
    by_genre = op.map("by_genre", views, parsed)
    clock = win.EventClock(ts_getter=time_of, wait_for_system_duration=GRACE)
    minutes = win.TumblingWindower(length=timedelta(minutes=1), align_to=datetime(2024, 1, 1, tzinfo=UTC))
    folded = win.fold_window(
        "folded", by_genre, clock, minutes, lambda: [0, 0.0, 0.0, 5.0, 0], add, merge, ordered=False
    )
    op.output("out", folded.down, TestingSink([]))
    return flow


def time_of(view: Any) -> datetime:
    return datetime.fromtimestamp(view["timestamp"] / 1000, UTC)


def parsed(message: Any) -> tuple[str, Any]:
    global begun
    if not begun:
        begun = True
        report("first")
    view = orjson.loads(message.value)
    return view["genre"], view


def merge(one: list[Any], other: list[Any]) -> list[Any]:
    least, most = min(one[3], other[3]), max(one[2], other[2])
    return [one[0] + other[0], one[1] + other[1], most, least, one[4] + other[4]]


def report(mark: str, **more: int) -> None:
    print(json.dumps({"mark": mark, **more}), flush=True)


if __name__ == "__main__":
    cli_main(dataflow(sys.argv[1], sys.argv[2], int(sys.argv[3])))
