"""The tables of docs/performance.md and its plot, from what was measured. `python -m bench.report` makes them anew."""

from __future__ import annotations

import json
import math
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console

from bench.goals import GOALS, OURS, Goal
from bench.installs import NotInstalled, python_with
from bench.peers.catalogue import PEERS
from bench.profile import PREFIX, place
from bench.results import RESULTS, ROOT, Found, Result, Summary, load
from bench.running import table_of

PAGE: Final = ROOT / "docs" / "performance.md"
PLOT: Final = ROOT / "docs" / "performance.svg"
SCRIPT: Final = Path(__file__).with_name("plot.py")
AIM: Final = 1_000_000
"""Events/s that the note on scaling is computed for."""
LOAD: Final = 0.7
"""The share of its time that a worker should be busy at most, so that it can catch up."""
SHOWN: Final = (OURS, *(subject for peer in PEERS for subject in peer.subjects))
"""The order of the peers."""
WORDS: Final = 90
"""Of the reason why something was skipped."""


def write(results: Path, console: Console, page: Path | None = None, *, plot: bool = False) -> None:
    """Shows the goals on the screen; fills the page and draws the plot where that is asked for."""
    kept = load(results)
    found = Found(kept)
    show(found, console)
    if page is not None:
        text = (page if page.exists() else PAGE).read_text(encoding="utf-8")
        page.write_text(filled(text, kept), encoding="utf-8")
        console.print(f"wrote {page}", soft_wrap=True)
    if plot:
        try:
            draw(found, PLOT)
            console.print(f"drew {PLOT}", soft_wrap=True)
        except NotInstalled as error:
            console.print(f"no plot: {error}", soft_wrap=True)


def show(found: Found, console: Console) -> None:
    """The goals that something was measured for."""
    rows: list[tuple[str, ...]] = [(goal.what, *row) for goal in GOALS if (row := verdict(goal, found))]
    if rows:
        console.print(table_of("Goals", ("", "goal", "found", "met"), rows))


def filled(text: str, kept: Sequence[Result]) -> str:
    """The page with all that is generated made anew, each part between `<!-- name -->` and `<!-- end of name -->`."""
    found = Found(kept)
    parts = {
        "machine": machine_line(found),
        "goals": goals_table(found),
        "peers": peers_table(found),
        "worker": worker_table(found),
        "latency": latency_table(found),
        "produce": produce_table(found),
        "profile": profile_table(found),
        "scale": scale_table(found),
        "scaling": scaling_note(found),
    }
    for name, made in parts.items():
        begin, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->"
        if begin in text:  # a page may have only some of them
            before, rest = text.split(begin)
            text = before + begin + made + end + rest.split(end)[1]
    return text


def value_of(goal: Goal, found: Found) -> float | None:
    """The figure, or the ratio, that a goal is about; None where it was not measured."""
    if goal.against is None:
        subject = found.get(goal.part, goal.subject)
        return None if subject is None else subject.figures.get(goal.figure)
    return ratio(found, found.get(goal.part, goal.against), goal.subject, goal.figure)


def ratio(found: Found, other: Summary | None, subject: str, figure: str) -> float | None:
    """The subject's figure to the other's, both of one run; None where that was not measured."""
    ours = None if other is None else found.beside(other, subject)
    if ours is None or other is None or figure not in ours.figures or not other.figures.get(figure):
        return None
    return ours.figures[figure] / other.figures[figure]


def verdict(goal: Goal, found: Found) -> tuple[str, str, str] | None:
    """What is wanted, what was found, and whether that is enough."""
    value = value_of(goal, found)
    if value is None:
        return None
    return f"{goal.sense} {_with_unit(goal.bound, goal)}", _with_unit(value, goal), "yes" if goal.met(value) else "no"


def _with_unit(value: float, goal: Goal) -> str:
    """A value as it is written.

    >>> _with_unit(1.234, GOALS[0]), _with_unit(163_200.4, GOALS[-1])
    ('1.23 x', '163,200 rows/s')
    """
    return f"{written(value)} {goal.unit}"


def written(value: float) -> str:
    """With about three digits that count.

    >>> written(1.234), written(61.94), written(163_200.4)
    ('1.23', '61.9', '163,200')
    """
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of Markdown.

    >>> print(table(("a", "b"), [("1", "")]), end="")
    | a | b |
    | --- | --- |
    | 1 |  |
    """
    lines = [header, ["---"] * len(header), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def goals_table(found: Found) -> str:
    """All goals; one that was not measured says so."""
    rows = []
    for goal in GOALS:
        wanted, value, met = verdict(goal, found) or (
            f"{goal.sense} {_with_unit(goal.bound, goal)}",
            "not measured",
            "",
        )
        rows.append((goal.what, wanted, value, met))
    return table(("figure", "goal", "found", "met"), rows)


def peers_table(found: Found) -> str:
    """Everybody, and how many times as much ours is."""
    rows = []
    for one in sorted(found.part("peers"), key=lambda one: SHOWN.index(one.subject)):
        names = ("events_per_s", "events_per_cpu_s")
        times = [None if one.subject == OURS else ratio(found, one, OURS, name) for name in names]
        figures = [_figure(one, name) for name in (*names, "peak_rss_mb")]
        does = one.note if not one.skipped else _skipped(one)
        rows.append((one.subject, does, *figures, *("" if x is None else written(x) for x in times)))
    header = ("", "does", "events/s", "events per CPU-second", "MB", "ours: x events/s", "ours: x a CPU-second")
    return table(header, rows)


def worker_table(found: Found) -> str:
    """One worker and its variants."""
    names = ("events_per_s", "events_per_cpu_s", "cpu_us_per_event", "peak_rss_mb", "documents", "first_event_s")
    header = ("", "events/s", "events per CPU-second", "µs CPU an event", "MB", "documents", "s to the first event")
    return _plain("worker", names, header, found)


def latency_table(found: Found) -> str:
    """Percentiles."""
    names = ("p50_ms", "p90_ms", "p99_ms", "max_ms", "probes", "events_per_s", "cores")
    return _plain(
        "latency", names, ("", "p50, ms", "p90, ms", "p99, ms", "max, ms", "probes", "events/s", "cores"), found
    )


def produce_table(found: Found) -> str:
    """Both commands, each as a whole process."""
    names = ("events_per_s", "said_events_per_s", "events_per_cpu_s", "peak_rss_mb")
    header = ("", "events/s", "events/s while sending", "events per CPU-second", "MB")
    return _plain("produce", names, header, found)


def profile_table(found: Found) -> str:
    """What each stage of a worker takes."""
    one = found.get("profile", "stages")
    if one is None or one.skipped:
        return "Not measured yet.\n"
    us = {name.removeprefix(PREFIX): value for name, value in one.figures.items() if name.startswith(PREFIX)}
    rows = [(stage, f"{us[stage]:.2f}") for stage in sorted(us, key=place)]
    return table(("stage", "µs CPU an event"), [*rows, ("all", f"{one.figures['cpu_us_per_event']:.2f}")])


def scale_table(found: Found) -> str:
    """What an event costs at each place."""
    names = (
        *("events_per_s", "cpu_us_per_event", "broker_us_per_event", "mongod_us_per_event"),
        *("event_bytes_per_event", "partials_bytes_per_event"),
        *("accumulate_changelog_bytes_per_event", "publish_changelog_bytes_per_event"),
    )
    header = (
        *("", "events/s", "µs CPU an event: workers", "broker", "mongod"),
        *("bytes an event: event", "partials", "changelog of accumulate", "of publish"),
    )
    return _plain("scale", names, header, found)


def _plain(part: str, names: Sequence[str], header: Sequence[str], found: Found) -> str:
    """A row for each subject of a part."""
    rows = [
        (
            one.subject if not one.skipped else f"{one.subject} ({_skipped(one)})",
            *(_figure(one, name) for name in names),
        )
        for one in found.part(part)
    ]
    return table(header, rows)


def _skipped(one: Summary) -> str:
    words = one.skipped.replace("|", "/")
    return f"skipped: {words[:WORDS]}{'…' if len(words) > WORDS else ''}"


def _figure(one: Summary, name: str) -> str:
    """A median; nothing where there is none."""
    return written(one.figures[name]) if name in one.figures else ""


def machine_line(found: Found) -> str:
    """Where, when and with what it was measured."""
    if not (used := found.results):
        return "Not measured yet.\n"
    last = max(used, key=lambda result: result.run)
    machine, rounds = last.machine, max(result.round for result in used) + 1
    return (
        f"Measured up to {last.run[:10]} on {machine['cores']} cores of {machine['cpu']} with "
        f"{machine['memory_gb']} GB, which also ran the broker ({last.broker}) and mongod; "
        f"Python {machine['python']}, {machine['java'] or 'no Java'}. "
        f"Medians of up to {rounds} rounds in which everything was measured in turn.\n"
    )


def scaling_note(found: Found) -> str:
    """What AIM events/s need, from what one worker with twelve partitions needed for each."""
    one = found.get("scale", "12 partitions, 1 worker")
    if one is None or one.skipped:
        return "Not measured yet.\n"
    figures = one.figures
    most = 1e6 / figures["cpu_us_per_event"]
    workers = math.ceil(AIM / (LOAD * most))
    lines = [
        f"One worker is one process on one core. It needs {figures['cpu_us_per_event']:.2f} µs an event, which is "
        f"{most:,.0f} events/s where nothing else runs on that core; at {LOAD:.0%} of that, so that it can catch up, "
        f"{AIM:,} events/s take **{workers} workers**, and as many partitions at least. Take twice as many "
        f"({2 * workers}): they cannot be added later.",
    ]
    if "event_bytes_per_event" in figures:
        lines.append(
            f"The broker then takes in {_mb_s(figures['event_bytes_per_event'])} of events and sends them on. What the "
            f"second hop carries depends on how many documents change, not on how many events do it; a worker that has "
            f"a backlog writes {_mb_s(figures['partials_bytes_per_event'])} of partials, "
            f"{_mb_s(figures['accumulate_changelog_bytes_per_event'])} to the changelog of accumulate and "
            f"{_mb_s(figures['publish_changelog_bytes_per_event'])} to that of publish for each million events/s."
        )
    documents = figures["documents_per_event"] * AIM
    lines.append(
        f"MongoDB gets {documents:,.0f} documents/s of {figures['document_bytes']:,.0f} bytes on average, "
        f"{documents * figures['document_bytes'] / 1e6:.1f} MB/s, and spends {figures['mongod_us_per_event']:.2f} µs "
        f"an event; the broker {figures['broker_us_per_event']:.2f} µs."
    )
    return "\n\n".join(lines) + "\n"


def _mb_s(bytes_per_event: float) -> str:
    """What AIM events/s make of it.

    >>> _mb_s(150.0)
    '150 MB/s'
    """
    value = bytes_per_event * AIM / 1e6
    return f"{value:,.0f} MB/s" if value >= 10 else f"{value:.1f} MB/s"


def draw(found: Found, to: Path) -> None:
    """Draws the peers, with matplotlib, which is installed for it alone. Raises NotInstalled."""
    bars = [
        (one.subject, one.figures["events_per_s"], one.figures["events_per_cpu_s"])
        for one in found.part("peers")
        if not one.skipped
    ]
    interpreter = python_with(SCRIPT.with_suffix(".txt"))
    try:
        subprocess.run(
            [str(interpreter), "-P", str(SCRIPT), str(to)],
            input=json.dumps({"ours": OURS, "bars": bars}),
            text=True,
            check=True,
            capture_output=True,
            timeout=120,
        )
    except subprocess.SubprocessError as error:
        raise NotInstalled(f"matplotlib failed: {getattr(error, 'stderr', error)}") from error


def main(
    results: Annotated[Path, typer.Option(help="What was measured.")] = RESULTS,
    page: Annotated[Path, typer.Option(help="The page to fill; one that does not exist begins as ours.")] = PAGE,
    plot: Annotated[bool, typer.Option(help="Draw docs/performance.svg too.")] = True,
) -> None:
    """Write docs/performance.md and its plot anew.

    python -m bench.report --no-plot
    """
    write(results, Console(highlight=False), page, plot=plot)


if __name__ == "__main__":
    typer.run(main)
