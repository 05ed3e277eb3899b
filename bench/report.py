"""Generates the tables of docs/explanation/performance.md and its plot from the results: `python -m bench.report`."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console

from bench import compare, default, latency, produce, profile, rebalance, scale, sparse, web, worker
from bench.ending import in_a_line
from bench.goals import GOALS, OURS, Goal
from bench.installs import NotInstalled, python_with
from bench.merged import last_measured, merged
from bench.movielens import RATINGS
from bench.profile import PREFIX, sort_key
from bench.replacing import replaced
from bench.results import FULL, RESULTS, ROOT, Found, Result, Summary, load, of_full_runs
from bench.running import table_of
from bench.scaling import scaling_note

PAGE: Final = ROOT / "docs" / "explanation" / "performance.md"
PLOT: Final = ROOT / "docs" / "images" / "performance.svg"
SCRIPT: Final = Path(__file__).with_name("plot.py")
SUBJECTS: Final = {
    part.PART: part.SUBJECTS
    for part in (compare, worker, sparse, default, rebalance, latency, produce, profile, scale, web)
}
"""The subjects of each part, in the order of their rows."""
RATES: Final = ("events_per_s", "events_per_cpu_s")
RATES_HEADER: Final = ("events/s", "least to most", "events per CPU-second")
GOALS_HEADER: Final = ("figure", "goal", "found", "met")
WORDS: Final = 90
"""The most characters of the reason why something was skipped."""


def show(title: str, found: Found, console: Console) -> None:
    """Prints the goals that have results."""
    rows: list[tuple[str, ...]] = [(goal.what, *row) for goal in GOALS if (row := verdict(goal, found))]
    if rows:
        console.print(table_of(title, ("", "goal", "found", "met"), rows))


def fill(page: Path, kept: Sequence[Result], console: Console) -> None:
    """Regenerates the tables of the page; a new page begins as a copy of ours. Raises InputError."""
    with replaced(page) as unfinished:
        text = (page if page.exists() else PAGE).read_text(encoding="utf-8")
        unfinished.write_text(filled(text, kept), encoding="utf-8")
    console.print(f"wrote {page}", soft_wrap=True)


def filled(text: str, kept: Sequence[Result]) -> str:
    """The page filled with the results, each part between `<!-- name -->` and `<!-- end of name -->`.

    A part without results is unchanged, and so are the rows of a table that have none: `merged` names their day.
    """
    found = Found(kept)
    tables = {
        "peers": peers_table,
        "worker": worker_table,
        "sparse": sparse_table,
        "default": default_table,
        "rebalance": rebalance_table,
        "latency": latency_table,
        "produce": produce_table,
        "scale": scale_table,
        "web": web_table,
    }
    before = last_measured(section(text, "machine"))
    parts = {
        "machine": machine_line(found),
        "goals": goals_table(found, section(text, "goals")),
        **{
            part: merged(make(found), section(text, part), SUBJECTS[part], _days(part, found), before)
            for part, make in tables.items()
        },
        "movielens": movielens_note(found),
        "profile": profile_table(found),
        "scaling": scaling_note(found),
    }
    for name, made in parts.items():
        if made and (begin := _begin(name)) in text:  # a page may have only some of them
            before, rest = text.split(begin)
            text = before + begin + made + _end(name) + rest.split(_end(name))[1]
    return text


def _days(part: str, found: Found) -> dict[str, str]:
    """The day of each subject of a part that has results."""
    return {one.subject: one.run[:10] for one in found.part(part)}


def section(text: str, name: str) -> str:
    r"""The part of a page between `<!-- name -->` and `<!-- end of name -->`; empty if there is no such part.

    >>> section("<!-- a -->\nb\n<!-- end of a -->", "a")
    'b\n'
    """
    return text.partition(_begin(name))[2].partition(_end(name))[0]


def _begin(name: str) -> str:
    return f"<!-- {name} -->\n"


def _end(name: str) -> str:
    return f"<!-- end of {name} -->"


def value_of(goal: Goal, found: Found) -> float | None:
    """The figure, or the ratio, of a goal; None if it was not measured."""
    if goal.against is None:
        subject = found.get(goal.part, goal.subject)
        return None if subject is None else subject.figures.get(goal.figure)
    return ratio(found, found.get(goal.part, goal.against), goal.subject, goal.figure)


def ratio(found: Found, other: Summary | None, subject: str, figure: str) -> float | None:
    """The ratio of the subject's figure to the other's, both of one run; None if that was not measured."""
    ours = None if other is None else found.beside(other, subject)
    if ours is None or other is None or figure not in ours.figures or not other.figures.get(figure):
        return None
    return ours.figures[figure] / other.figures[figure]


def verdict(goal: Goal, found: Found) -> tuple[str, str, str] | None:
    """The bound of a goal, the value measured, and whether the goal is met."""
    value = value_of(goal, found)
    if value is None:
        return None
    return f"{goal.sense} {_with_unit(goal.bound, goal)}", _with_unit(value, goal), "yes" if goal.met(value) else "no"


def _with_unit(value: float, goal: Goal) -> str:
    """A value with its unit.

    >>> _with_unit(1.234, GOALS[0]), _with_unit(163_200.4, GOALS[-1])
    ('1.23 x', '163,200 kB')
    """
    return f"{written(value)} {goal.unit}"


def written(value: float) -> str:
    """A value with about three significant digits.

    >>> written(1.234), written(61.94), written(163_200.4)
    ('1.23', '61.9', '163,200')
    """
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; empty if there are no rows.

    >>> print(table(("a", "b"), [("1", "")]), end="")
    | a | b |
    | --- | --- |
    | 1 |  |
    """
    lines = [header, ["---"] * len(header), *rows] if rows else []
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def goals_table(found: Found, before: str = "") -> str:
    """All goals, if any was measured; the others keep their row of the table before, or "not measured"."""
    if not any(verdict(goal, found) for goal in GOALS):
        return ""
    known = {tuple(row[:2]): row for line in before.splitlines() if len(row := _cells(line)) == len(GOALS_HEADER)}
    rows = []
    for goal in GOALS:
        wanted = f"{goal.sense} {_with_unit(goal.bound, goal)}"
        measured = verdict(goal, found)
        rows.append(
            (goal.what, *measured)
            if measured
            else known.get((goal.what, wanted), (goal.what, wanted, "not measured", ""))
        )
    return table(GOALS_HEADER, rows)


def _cells(line: str) -> tuple[str, ...]:
    """The cells of a row of a Markdown table.

    >>> _cells("| a |  | b |")
    ('a', '', 'b')
    """
    return tuple(cell.strip() for cell in line.split("|")[1:-1])


def peers_table(found: Found) -> str:
    """All peers, and the ratios of our figures to theirs."""
    rows = []
    for one in _measured("peers", found):
        ours = [None if one.subject == OURS else ratio(found, one, OURS, name) for name in RATES]
        times = ("" if x is None else written(x) for x in ours)
        does = one.note if not one.skipped else _skipped(one)
        rows.append((one.subject, does, *_rates(one), _figure(one, "peak_rss_mb"), *times))
    return table(("", "does", *RATES_HEADER, "MB", "ours: x events/s", "ours: x a CPU-second"), rows)


def worker_table(found: Found) -> str:
    """One worker and its variants."""
    names = ("cpu_us_per_event", "peak_rss_mb", "documents", "first_event_s")
    rows = [
        (_subject(one), *_rates(one), *(_figure(one, name) for name in names)) for one in _measured("worker", found)
    ]
    return table(("", *RATES_HEADER, "µs CPU an event", "MB", "documents", "s to the first event"), rows)


def sparse_table(found: Found) -> str:
    """Ratings that make a document each, and the bare client."""
    names = (
        *("documents_per_s", "cpu_us_per_document", "mongod_us_per_document"),
        *("documents", "events_per_s", "wall_s", "peak_rss_mb"),
    )
    header = (
        *("", "documents/s", "µs CPU a document", "mongod: µs CPU a document"),
        *("documents", "ratings/s", "s", "MB"),
    )
    return _plain("sparse", names, header, found)


def movielens_note(found: Found) -> str:
    """What MovieLens 20M would take, by what was measured."""
    one = found.get("sparse", OURS)
    if one is None or one.skipped:
        return ""
    figures, times = one.figures, RATINGS / one.events
    documents = times * figures["documents"]
    return (
        f"MovieLens 20M itself was not counted. By the {one.events:,} ratings that were measured, its {RATINGS:,} "
        f"would take {times * figures['wall_s'] / 60:.0f} minutes and make {documents:,.0f} documents at most, "
        f"{figures['documents'] / one.events:.2f} a rating, of "
        f"{documents * figures['disk_bytes_per_document'] / 1e9:.1f} GB on MongoDB's disk with their indexes. At most, "
        f"since the more ratings share the same twenty years, the more of them share a document.\n"
    )


def default_table(found: Found) -> str:
    """The views of `generate`, and the dense ones."""
    names = ("cpu_us_per_event", "peak_rss_mb", "documents")
    rows = [
        (_subject(one), *_rates(one), *(_figure(one, name) for name in names)) for one in _measured("default", found)
    ]
    return table(("", *RATES_HEADER, "µs CPU an event", "MB", "documents"), rows)


def rebalance_table(found: Found) -> str:
    """The standstills of partitions."""
    names = ("standstill_s", "takeover_s", "peak_rss_mb")
    header = ("", "longest standstill of a partition that is kept, s", "s until the others are taken over", "MB")
    return _plain("rebalance", names, header, found)


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
    """The cost of each stage of a worker."""
    one = found.get("profile", "stages")
    if one is None or one.skipped:
        return ""
    us = {name.removeprefix(PREFIX): value for name, value in one.figures.items() if name.startswith(PREFIX)}
    rows = [(stage, f"{us[stage]:.2f}") for stage in sorted(us, key=sort_key)]
    return table(("stage", "µs CPU an event"), [*rows, ("all", f"{one.figures['cpu_us_per_event']:.2f}")])


def scale_table(found: Found) -> str:
    """The cost of an event in each process."""
    names = (
        *("events_per_s", "cpu_us_per_event", "broker_us_per_event", "mongod_us_per_event"),
        *("event_bytes_per_event", "partials_bytes_per_event"),
        *("accumulate_changelog_bytes_per_event", "publish_changelog_bytes_per_event"),
        *("documents", "document_bytes"),
    )
    header = (
        *("", "events/s", "µs CPU an event: workers", "broker", "mongod"),
        *("bytes an event: event", "partials", "changelog of accumulate", "of publish"),
        *("documents", "bytes a document"),
    )
    return _plain("scale", names, header, found)


def web_table(found: Found) -> str:
    """The page's requests, and their cost."""
    names = (
        *("p50_ms", "p99_ms", "max_ms", "direct_p50_ms", "direct_p99_ms"),
        *("requests", "cpu_ms_per_request", "peak_rss_mb", "page_kb"),
    )
    header = (
        *("", "p50, ms", "p99, ms", "max, ms", "straight from MongoDB: p50, ms", "p99, ms"),
        *("requests", "ms CPU a request", "MB", "kB"),
    )
    return _plain("web", names, header, found)


def _plain(part: str, names: Sequence[str], header: Sequence[str], found: Found) -> str:
    """A row for each subject of a part."""
    return table(header, [(_subject(one), *(_figure(one, name) for name in names)) for one in _measured(part, found)])


def _measured(part: str, found: Found) -> list[Summary]:
    """The subjects of a part in their order, if one of them was not skipped."""
    subjects = {one.subject: one for one in found.part(part)}
    measured = [subjects[name] for name in SUBJECTS[part] if name in subjects]
    return [] if all(one.skipped for one in measured) else measured


def _subject(one: Summary) -> str:
    return f"{one.subject} ({_skipped(one)})" if one.skipped else one.subject


def _skipped(one: Summary) -> str:
    words = one.skipped.replace("|", "/")
    return f"skipped: {words[:WORDS]}{'…' if len(words) > WORDS else ''}"


def _figure(one: Summary, name: str) -> str:
    """A median as text; empty if there is none."""
    return written(one.figures[name]) if name in one.figures else ""


def _rates(one: Summary) -> tuple[str, str, str]:
    """The cells below RATES_HEADER."""
    wall, cpu = RATES
    least_to_most = "–".join(map(written, one.spread[wall])) if wall in one.spread and one.rounds > 1 else ""
    return _figure(one, wall), least_to_most, _figure(one, cpu)


def machine_line(found: Found) -> str:
    """A description of the machine, the time and the versions of the measurement."""
    if not (used := found.results):
        return ""
    last = max(used, key=lambda result: result.run)
    machine, rounds = last.machine, max(result.round for result in used) + 1
    in_turn = "in which everything of a part was measured in turn"
    sentences = [
        f"Measured up to {last.run[:10]} on {machine['cores']} cores of {machine['cpu']} with "
        f"{machine['memory_gb']} GB, which also ran the broker ({last.broker}) and mongod; "
        f"Python {machine['python']}, {machine['java'] or 'no Java'}.",
        f"Medians of up to {rounds} rounds {in_turn}." if rounds > 1 else f"One round {in_turn}.",
    ]
    if len({result.machine.get("commit") for result in used}) > 1:
        sentences.append("The code changed between some of the parts.")
    if older := [part for part in SUBJECTS if not found.part(part)]:
        sentences.append(f"Not measured then, so older or of another machine: {', '.join(older)}.")
    return " ".join(sentences) + "\n"


def bars_of(peers: str) -> list[tuple[str, float, float]]:
    """The bars of the plot: name, events/s, and events per CPU-second, by the table of peers.

    >>> bars_of(table(("", *RATES_HEADER), [("Flink, warm", "847,228", "", "472,076"), ("Spark", "", "", "")]))
    [('Flink, warm', 847228.0, 472076.0)]
    """
    header, _, *rows = map(_cells, peers.splitlines())
    columns = [header.index(RATES_HEADER[0]), header.index(RATES_HEADER[2])]
    rates = [(row[0], *(row[at].replace(",", "") for at in columns)) for row in rows if len(row) == len(header)]
    return [(name, float(wall), float(cpu)) for name, wall, cpu in rates if wall]


def draw(page: Path, to: Path, console: Console) -> None:
    """Draws the peers of a page with matplotlib, which is installed only for this. Raises InputError."""
    bars = bars_of(section(page.read_text(encoding="utf-8"), compare.PART))
    try:
        interpreter = python_with(SCRIPT.with_suffix(".txt"))
        with replaced(to) as unfinished:
            subprocess.run(
                [str(interpreter), "-P", str(SCRIPT), str(unfinished)],
                input=json.dumps({"ours": OURS, "bars": bars}),
                text=True,
                check=True,
                capture_output=True,
                timeout=120,
            )
    except subprocess.CalledProcessError as error:
        last = str(error.stderr).strip().rpartition("\n")[2]  # of a traceback
        console.print(f"no plot: {last}", soft_wrap=True)
    except (NotInstalled, subprocess.TimeoutExpired) as error:
        console.print(f"no plot: {error}", soft_wrap=True)
    else:
        console.print(f"drew {to}", soft_wrap=True)


def main(
    results: Annotated[Path, typer.Option(help="The file with the results.")] = RESULTS,
    page: Annotated[
        Path | None,
        typer.Option(
            help="Fill this page, also from small runs, and draw its plot beside it; a new page is a copy of ours."
        ),
    ] = None,
    plot: Annotated[bool, typer.Option(help="Also draw the plot.")] = True,
) -> None:
    """Show the goals; regenerate docs/explanation/performance.md and its plot from runs of at least a million events.

    python -m bench.report --no-plot
    """
    console, kept = Console(highlight=False), load(results)
    show(f"Goals, by all of {results.name}", Found(kept), console)
    if page is None and not (kept := of_full_runs(kept)):
        console.print(f"{PAGE.name} stays as it is: no run had {FULL:,} events. Small ones fill the file of --page.")
        return
    filled_page = page or PAGE
    fill(filled_page, kept, console)
    if plot and _measured(compare.PART, Found(kept)):
        draw(filled_page, page.with_suffix(".svg") if page else PLOT, console)


if __name__ == "__main__":
    with in_a_line():
        typer.run(main)
