"""Bare aiokafka: `getmany` in a loop, discarding the records. SERVERS TOPIC EVENTS."""

import asyncio
import json
import sys

from aiokafka import AIOKafkaConsumer


async def main(servers: str, topic: str, events: int) -> None:
    consumer = AIOKafkaConsumer(
        topic,
        bootstrap_servers=servers,
        auto_offset_reset="earliest",
        max_partition_fetch_bytes=8 << 20,
        fetch_max_bytes=64 << 20,
        check_crcs=False,
    )
    await consumer.start()
    try:
        seen = 0
        report("first")
        while seen < events:
            fetched = await consumer.getmany(timeout_ms=1_000, max_records=50_000)
            seen += sum(map(len, fetched.values()))
        report("last", events=seen)
    finally:
        await consumer.stop()


def report(mark: str, **more: int) -> None:
    print(json.dumps({"mark": mark, **more}), flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
