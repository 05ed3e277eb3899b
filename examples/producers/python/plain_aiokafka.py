"""Sends a view of each of 60 users with aiokafka, whose default partitioner is the one that is needed."""

import asyncio
import json
import os
import time

from aiokafka import AIOKafkaProducer


async def main() -> None:
    topic = os.environ.get("KAFKA_TOPIC", "movie-events")
    async with AIOKafkaProducer(bootstrap_servers=os.environ["KAFKA_BOOTSTRAP_SERVERS"], acks="all") as producer:
        acknowledgements = []
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
            acknowledgements.append(await producer.send(topic, json.dumps(view).encode(), key=user.encode()))
        await asyncio.gather(*acknowledgements)  # raises if one of them was not written
    print("60 views are acknowledged")


asyncio.run(main())
