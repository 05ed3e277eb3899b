"""Sends a view of each of 60 users with confluent-kafka, which needs to be told the partitioner."""

import json
import os
import sys
import time

from confluent_kafka import KafkaError, Message, Producer

failed: list[KafkaError] = []


def acknowledged(error: KafkaError | None, _: Message) -> None:
    if error is not None:
        failed.append(error)


producer = Producer(
    {
        "bootstrap.servers": os.environ["KAFKA_BOOTSTRAP_SERVERS"],
        "partitioner": "murmur2_random",  # librdkafka's own default puts users elsewhere
        "acks": "all",
    }
)
for number in range(60):
    view = {
        "movie_id": "tt0078748",
        "title": "Alien",
        "genre": "Sci-Fi",
        "user_id": f"zoé_{number}",
        "timestamp": int(time.time() * 1000),
        "rating": 4.5,
    }
    topic = os.environ.get("KAFKA_TOPIC", "movie-events")
    producer.produce(topic, json.dumps(view).encode(), f"zoé_{number}".encode(), on_delivery=acknowledged)
    producer.poll(0)
producer.flush()
if failed:
    sys.exit(f"{len(failed)} views were not written: {failed[0]}")
print("60 views are acknowledged")
