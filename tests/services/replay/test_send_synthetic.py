"""Made-up views in the topic: as many as asked for, keyed by their users, in time order."""

import asyncio
from datetime import timedelta

import orjson

from movie_stream.kafka.cluster import topics
from movie_stream.replay.send_synthetic import send_synthetic
from movie_stream.replay.synthetic.generate import END
from movie_stream.replay.synthetic.synthetic_views import SyntheticViews
from movie_stream.settings import Settings
from tests.support.whole_path import log_of


def test_all_of_them_arrive(settings: Settings) -> None:
    arrived: list[int] = []

    async def send() -> None:
        await topics.ensure(settings)
        await send_synthetic(settings, SyntheticViews(count=2_500, seed=3, span=timedelta(days=1)), 0, arrived.append)

    asyncio.run(send())
    partitions = [[orjson.loads(value) for _, _, value in partition if value] for partition in log_of(settings)]
    assert sum(arrived) == sum(map(len, partitions)) == 2_500
    users = [{view["user_id"] for view in partition} for partition in partitions]
    assert not set.intersection(*users)
    for partition in partitions:
        times = [view["timestamp"] for view in partition]
        assert times == sorted(times)
        assert END.timestamp() * 1000 - 86_400_000 <= times[0] <= times[-1] < END.timestamp() * 1000
