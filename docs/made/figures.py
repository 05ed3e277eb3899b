"""The figures that the READMEs quote, from the pages that have all of them."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from docs.made.markdown import table

_EXPLANATION: Final = Path(__file__).parents[1] / "explanation"
PERFORMANCE: Final = _EXPLANATION / "performance.md"
RELIABILITY: Final = _EXPLANATION / "reliability.md"


def figures() -> str:
    """How fast and how exact it is: the figures that are measured, out of the pages that have all of them."""
    found = _measured()
    rows = (
        (
            f"one worker with {found['results']}, on two cores that broker and MongoDB share",
            f"{found['rate']} views/s, in {found['memory']} MB",
        ),
        (
            "from the producer into the document of its minute, at 20,000 views/s",
            f"{found['p50']} ms in the median, {found['p99']} ms at the 99th percentile",
        ),
        (
            f"{found['faults']} faults in {found['runs']} runs over {found['events']} records",
            f"{found['wrong']} wrong documents",
        ),
    )
    return table(("measured", "result"), rows)


_RESULTS_IN_FRENCH: Final = {"all results": "tous les résultats", "seven of the ten results": "sept des dix résultats"}


def figures_in_french() -> str:
    """The same for README.fr.md. Raises KeyError for results that have no French words here."""
    found = {name: figure.replace(",", "\u00a0") for name, figure in _measured().items()}
    rows = (
        (
            f"un worker avec {_RESULTS_IN_FRENCH[found['results']]}, sur deux cœurs partagés avec le broker et MongoDB",
            f"{found['rate']} vues/s, dans {found['memory']} Mo",
        ),
        (
            "du producteur jusque dans le document de sa minute, à 20\u00a0000 vues/s",
            f"{found['p50']} ms en médiane, {found['p99']} ms au 99e centile",
        ),
        (
            f"{found['faults']} pannes en {found['runs']} essais sur {found['events']} enregistrements",
            f"{found['wrong']} document faux" + "s" * (found["wrong"] not in {"0", "1"}),
        ),
    )
    return table(("mesure", "résultat"), rows)


def _measured() -> dict[str, str]:
    """What the READMEs quote. Raises ValueError where a page no longer has it."""
    ours, late = _row(PERFORMANCE, "peers", "movie-stream"), _row(PERFORMANCE, "latency", "windows of a minute")
    suite = _row(RELIABILITY, "chaos", "all")
    return {
        "results": ours["does"].partition(",")[0],
        "rate": ours["events/s"],
        "memory": ours["MB"],
        "p50": late["p50, ms"],
        "p99": late["p99, ms"],
        "runs": suite["runs"],
        "events": suite["events"],
        "faults": suite["faults"],
        "wrong": suite["wrong documents"],
    }


def _row(page: Path, mark: str, begins: str) -> dict[str, str]:
    """The row that begins so, of the table below a mark, by the table's head."""
    _, _, rest = page.read_text(encoding="utf-8").partition(f"<!-- {mark} -->\n")
    lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in rest.split("<!--")[0].splitlines()]
    for line in lines[2:]:
        if line[0] == begins:
            return dict(zip(lines[0], line, strict=True))
    raise ValueError(f"{page.name}: expected a row {begins!r} below <!-- {mark} -->")
