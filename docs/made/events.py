"""What goes in: the fields of an event, and why a record is refused."""

from __future__ import annotations

from docs.made.markdown import table
from movie_stream.events.contract import FIELD_RULES


def events() -> str:
    """The fields of an event."""
    return table(("field", "must be"), ((name, rule.words) for name, rule in FIELD_RULES.items()))
