# Run in a worker's container: waits until all is counted, then prints the topic's records and all documents as JSON.
import asyncio
import base64
import json
import sys

from aiokafka import TopicPartition
from bson import json_util

from movie_stream.aggregates.results import RESULTS
from movie_stream.kafka import offsets
from movie_stream.kafka.cluster import client
from movie_stream.mongo.client import opened
from movie_stream.runs.progress import wait_until_counted
from movie_stream.settings import load_settings


async def main() -> None:
    settings = load_settings()
    async with asyncio.timeout(120):
        await wait_until_counted(settings)
    places = [TopicPartition(settings.kafka_topic, partition) for partition in range(settings.kafka_partitions)]
    log: list[list[tuple[int, int | None, str | None]]] = [[] for _ in places]
    async with client.reader(settings) as consumer:
        ends = await offsets.ends(consumer, places)
        consumer.assign(places)
        for place in places:
            consumer.seek(place, 0)
        while any([await consumer.position(place) < ends[place] for place in places]):
            for at, fetched in (await consumer.getmany(timeout_ms=100)).items():
                log[at.partition] += [
                    (r.offset, r.timestamp, None if r.value is None else base64.b64encode(r.value).decode())
                    for r in fetched
                ]
    async with opened(settings) as db:
        documents = {result.collection: await db[result.collection].find().to_list(None) for result in RESULTS}
    json.dump({"log": log, "documents": json_util.dumps(documents)}, sys.stdout)


if __name__ == "__main__":
    asyncio.run(main())
