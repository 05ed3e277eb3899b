"""The note on scaling: what ten million events/s would take, computed from what the part `scale` measured."""

from __future__ import annotations

import math
from typing import Final

from bench import scale
from bench.results import Found, Summary
from movie_stream.console.words import number_of

AIM: Final = 10_000_000
"""The rate in events/s for which the note is computed."""
LOAD: Final = 0.7
"""The largest share of its time that a core or a link should be busy, so that all can catch up."""
COPIES: Final = 3
"""The copies that a broker keeps of each record."""
LINK_MB_S: Final = 1_250
"""What a link of 10 Gbit/s carries in each direction."""
BYTES: Final = {
    "partials": "of partials",
    "accumulate_changelog": "to the changelog of accumulate",
    "publish_changelog": "to that of publish",
}
"""What a worker writes to the broker, in words."""


def scaling_note(found: Found) -> str:
    """The note as Markdown; empty if nothing was measured, or only with one number of workers."""
    few, many = (found.get(scale.PART, subject) for subject in scale.SUBJECTS)
    if few is None or many is None or few.skipped or many.skipped:
        return ""
    return "\n\n".join([_work(few, many), _cores(few, many), *_network(few, many), _mongodb(few, many)]) + "\n"


def _work(few: Summary, many: Summary) -> str:
    one, all_of_them = few.figures["events_per_s"], many.figures["events_per_s"]
    costs = [figures["cpu_us_per_event"] for figures in (few.figures, many.figures)]
    here, there = one / scale.PARTITIONS, AIM / _partitions(few, many)
    return (
        f"One worker counts {one:,.0f} events/s, and four count {all_of_them:,.0f}, {all_of_them / one:.2f} times as "
        f"many, on cores that they share with the broker and mongod; so that ratio is of this machine. What an event "
        f"costs is less so: {costs[0]:.2f} µs of CPU time in one worker, and {costs[1]:.2f} µs in four, "
        f"{costs[1] / costs[0]:.2f} times as much. Workers exchange nothing but partials: for each partition, what "
        f"changed there since its last flush. The more events a partition has, the less of that comes with each. One "
        f"had {here:,.0f} events/s here, and has {there:,.0f} in what follows: an event then costs rather less."
    )


def _cores(few: Summary, many: Summary) -> str:
    cost_us = _dearer("cpu_us_per_event", few, many)
    workers, partitions = _cores_for(cost_us), _partitions(few, many)
    return (
        f"**Cores.** A worker is one process, and keeps one core busy. At {cost_us:.2f} µs, the dearer of the two, a "
        f"core that does nothing else counts {1e6 / cost_us:,.0f} events/s, and {LOAD * 1e6 / cost_us:,.0f} at "
        f"{LOAD:.0%} of its time, so that it can catch up. {AIM:,} events/s take **{workers} workers** on as many "
        f"cores, and as many partitions at least. Take twice as many ({partitions}): they cannot be added later."
    )


def _partitions(few: Summary, many: Summary) -> int:
    """Two for each worker."""
    return 2 * _cores_for(_dearer("cpu_us_per_event", few, many))


def _network(few: Summary, many: Summary) -> list[str]:
    broker_us = _dearer("broker_us_per_event", few, many)
    cores = number_of(_cores_for(broker_us), "core")
    brokers = f"**Broker.** It spends {broker_us:.2f} µs of CPU time an event, so {cores}"
    names = ("event", *BYTES)
    if not all(f"{name}_bytes_per_event" in one.figures for name in names for one in (few, many)):
        return [f"{brokers}. What it carries is measured with Apache Kafka only."]
    mb_s = {name: _dearer(f"{name}_bytes_per_event", few, many) * AIM / 1e6 for name in names}
    total = sum(mb_s.values())
    through = COPIES * total  # in: the records, and the copies for other brokers; out: those copies, and to workers
    links = math.ceil(through / (LOAD * LINK_MB_S))
    second_hop = ", ".join(f"{mb_s[name]:,.0f} MB/s {words}" for name, words in BYTES.items())
    return [
        f"{brokers}, for one copy of each record. To keep {COPIES} copies, other brokers fetch and write each "
        f"{COPIES - 1} times more; what that costs them was not measured.",
        f"**Network.** The events are {mb_s['event']:,.0f} MB/s, uncompressed. What the second hop carries depends on "
        f"how many documents change, and not on how many events do it; workers that have a backlog write "
        f"{second_hop}. That is {total:,.0f} MB/s to the broker. With {COPIES} copies the brokers together take in "
        f"{through:,.0f} MB/s, send as much, and write as much to their disks: **{links} brokers** with 10 Gbit/s "
        f"each, at {LOAD:.0%} of that.",
    ]


def _mongodb(few: Summary, many: Summary) -> str:
    documents = _dearer("documents_per_event", few, many) * AIM
    size, cost_us = (_dearer(name, few, many) for name in ("document_bytes", "mongod_us_per_event"))
    cores = number_of(_cores_for(cost_us), "core")
    return (
        f"**MongoDB.** It gets {documents:,.0f} documents/s of {size:,.0f} bytes on average, "
        f"{documents * size / 1e6:,.1f} MB/s, and spends {cost_us:.2f} µs an event, so {cores}. "
        f"That is more than live views need, since a document is written once a flush, however many events changed it."
    )


def _dearer(figure: str, few: Summary, many: Summary) -> float:
    """The higher figure of the two."""
    return max(one.figures[figure] for one in (few, many))


def _cores_for(cost_us: float) -> int:
    """The cores that are busy for LOAD of their time at AIM.

    >>> _cores_for(1.4)
    20
    """
    return math.ceil(round(cost_us * AIM / 1e6 / LOAD, 6))
