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
topic = os.environ.get("KAFKA_TOPIC", "movie-events")
for number in range(60):
    user = f"zoé_{number}"
    view = {
        "movie_id": "tt0078748",
        "title": "Alien",
        "genre": "Sci-Fi",
        "user_id": user,
        "timestamp": int(time.time() * 1000),
        "rating": 4.5,
    }
    producer.produce(topic, json.dumps(view).encode(), user.encode(), on_delivery=acknowledged)
    producer.poll(0)
producer.flush()
if failed:
    sys.exit(f"{len(failed)} views were not written: {failed[0]}")
print("60 views are acknowledged")
