"""Writes what follows from the code: tables in the READMEs and in pages of docs/, whole pages of the reference, the
types of documents. made/ says what; here stands where.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from docs.made import bi, collections, commands, document_types, errors, events, figures, http, settings, telemetry
from docs.made.kafka import acls

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
README_FR = ROOT / "README.fr.md"
EVENTS = ROOT / "docs" / "how-to" / "events.md"
LOOKING = ROOT / "docs" / "how-to" / "results.md"
REFERENCE = ROOT / "docs" / "reference"
SECURITY = ROOT / "docs" / "how-to" / "security.md"
POWER_BI = ROOT / "docs" / "how-to" / "power-bi.md"
COMPASS = ROOT / "docs" / "how-to" / "compass.md"
OPERATE = ROOT / "docs" / "how-to" / "operate.md"
METRICS = REFERENCE / "metrics.md"
DOCUMENTS = ROOT / "movie_stream" / "mongo" / "documents.py"


def filled(page: Path) -> str:
    """The page's text with the tables between its marks as they are now. Raises ValueError where a mark is missing."""
    text = page.read_text(encoding="utf-8")
    for name, made in TABLES[page].items():
        begin, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->"
        before, _, rest = text.partition(begin)
        _, found, after = rest.partition(end)
        if not found:
            raise ValueError(f"expected the marks {begin.strip()} and {end}")
        text = before + begin + made() + end + after
    return text


TABLES: Mapping[Path, Mapping[str, Callable[[], str]]] = {
    README: {"results": collections.results, "figures": figures.figures},
    README_FR: {"results": collections.results_in_french, "figures": figures.figures_in_french},
    EVENTS: {"events": events.events},
    LOOKING: {"results": collections.results},
    SECURITY: {"acls": acls},
    POWER_BI: {"tables": bi.tables, "measures": bi.of_measures},
    COMPASS: {"queries": bi.queries},
    METRICS: {"worker": partial(telemetry.metrics, "worker"), "serve": partial(telemetry.metrics, "serve")},
    OPERATE: {"alerts": telemetry.alerts},
}
"""By page and mark, what makes each table."""
PAGES = tuple(TABLES)
"""The pages with such tables."""
WHOLE: Mapping[Path, Callable[[], str]] = {
    REFERENCE / "commands.md": commands.page,
    REFERENCE / "collections.md": collections.page,
    REFERENCE / "events.md": events.page,
    REFERENCE / "routes.md": http.routes,
    REFERENCE / "entity-sets.md": http.entity_sets,
    REFERENCE / "errors.md": errors.page,
    REFERENCE / "settings.md": settings.settings,
    DOCUMENTS: document_types.documents,
}
"""The files that are made as a whole, and what makes each."""


if __name__ == "__main__":
    for page in PAGES:
        page.write_text(filled(page), encoding="utf-8")
    for file, made in WHOLE.items():
        file.write_text(made(), encoding="utf-8")
