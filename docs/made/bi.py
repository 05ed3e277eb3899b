"""What BI tools get: the model in Power BI, and the queries for Compass."""

from __future__ import annotations

from bi.source import compass, measures, model
from docs.made.markdown import table


def tables() -> str:
    """The tables of the model in Power BI."""
    made = model.tables()
    joins = {table.name: [join.to for join in model.relationships([table])] for table in made}
    rows = [
        (f"`{table.name}`", table.description, ", ".join(joins[table.name]), "a range" if table.long else "all")
        for table in made
    ]
    return table(("table", "holds", "joined with", "loads"), rows)


def of_measures() -> str:
    """The measures of that model."""
    return table(("measure", "folder", "is"), ((m.name, m.folder, m.description) for m in measures.ALL))


def queries() -> str:
    """The queries for MongoDB Compass."""
    rows = ((saved.name, saved.description, f"`{saved.collection}`", f"`{saved.index}`") for saved in compass.ALL)
    return table(("name", "answers", "collection", "index"), rows)
