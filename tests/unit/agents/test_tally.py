"""What the agents of a worker have done, added up and in words."""

from __future__ import annotations

from collections import Counter

from movie_stream.agents.owner import Owners, total_tally
from movie_stream.agents.tally import Tally
from movie_stream.events.chunk import chunk_of
from tests.support.memory_log import MemoryLog
from tests.unit.agents.test_owner import Away, Broker, Group, accumulate, own, publish


def test_what_agents_have_done_is_added_up() -> None:
    counted = Tally(7, Counter({("bad", "no JSON"): 2, ("late", "late"): 1}), Counter({"again": 1, "counted": 1}))
    published = Tally(documents=5, parked=1)
    both = Tally(7, counted.refused, counted.copies, 5, 1)
    assert sum((counted, published), Tally()) == both
    assert str(both) == "read 7 events: 3 counted, 2 bad, 1 late, 1 copies of what counts already; wrote 5 documents"
    assert both.counted == 3
    assert both.refused_by_reason == {"no JSON": 2, "late": 1}


async def test_a_tally_stays_what_it_was_while_the_agents_go_on() -> None:
    group = Group()
    counting, publishing = accumulate(Broker(), group), publish(Broker(), group, Away(0))
    own(counting, MemoryLog())
    owners: Owners = {counting.topic: counting, publishing.topic: publishing}
    counting.apply(chunk_of(0, 0, [b"x"]))
    before = total_tally(owners)
    counting.apply(chunk_of(0, 1, [b"y"]))
    now = total_tally(owners)
    assert (before.events, before.refused.total()) == (1, 1)
    assert (now.events, now.refused.total()) == (2, 2)
    assert before != now
