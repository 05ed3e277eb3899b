"""The part `peers`: one worker of ours and the others, on the same topic, in turn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from bench.goals import OURS
from bench.meter import FIRST, LAST, Meter, environment
from bench.ours import rates
from bench.peers.catalogue import PEERS, Peer
from bench.running import Run
from bench.stream import Stream
from bench.worker import backlog

PART: Final = "peers"
SUBJECTS: Final = (OURS, *(subject for peer in PEERS for subject in peer.subjects if subject))
WITHIN_S: Final = 120.0
SLOWEST: Final = 500.0
"""The lowest rate in events/s; a slower peer is stopped."""
OURS_DOES: Final = "all results, exactly once, written to MongoDB"


def measure(run: Run, only: Sequence[str] = ()) -> None:
    """Measures ours and all peers, or `only` these, round by round."""
    topic = run.topic(Stream(run.events))
    for nth in range(run.rounds):
        run.measure(PART, nth, OURS, lambda: [backlog(run, topic)], note=OURS_DOES)
        for peer in PEERS:
            if not only or peer.key in only:
                run.measure(PART, nth, peer.subjects, lambda p=peer: passes(run, p, topic), note=peer.does)  # type: ignore[misc]


def passes(run: Run, peer: Peer, topic: str) -> list[Mapping[str, float]]:
    """The figures of a peer for each pass over the topic. Raises NotInstalled, PeerFailed."""
    with run.step(f"installing {peer.key}, the first time"):
        command = peer.install()
    events = min(run.events, peer.at_most)
    argv = [*command, run.services.bootstrap_servers, topic, str(events)]
    with Meter(peer.key, argv, environment()) as meter:
        within_s = WITHIN_S + len(peer.subjects) * events / SLOWEST
        done = meter.until(LAST, within_s, nth=len(peer.subjects))
    found: list[Mapping[str, float]] = []
    for nth in range(len(peer.subjects)):
        first, last = done.mark(FIRST, nth), done.mark(LAST, nth)
        counted, ago_s = int(last.values["events"]), float(last.values.get("ago_s", 0.0))
        with_start = (last.at_s - ago_s - done.began_s, last.cpu_s) if nth == 0 else None
        figures = rates(counted, last.at_s - ago_s - first.at_s, last.cpu_s - first.cpu_s, with_start)
        found.append(figures | {"events": counted, "peak_rss_mb": done.peak_rss_bytes / 1e6})
    return found
