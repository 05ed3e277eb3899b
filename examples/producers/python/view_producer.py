"""Sends a view of each of 60 users with ViewProducer: views are checked, keyed and placed by it."""

import asyncio
import time

from movie_stream import ViewEvent, ViewProducer


async def main() -> None:
    async with ViewProducer() as producer:
        for number in range(60):
            view = ViewEvent(
                movie_id="tt0078748",
                title="Alien",
                genre="Sci-Fi",
                user_id=f"zoé_{number}",
                timestamp=int(time.time() * 1000),
                rating=4.5,  # rating, duration (minutes) and price may be left out
            )
            await producer.send(view)
    print("60 views are acknowledged")


asyncio.run(main())
