"""README.md and README.fr.md say the same: headings, code, links, pictures and tables are in step."""

from __future__ import annotations

import re

from movie_stream.aggregates.results import RESULTS
from tests.services.test_docs import README, README_FR
from tests.services.test_docs_commands import lines_of

BOTH = (README, README_FR)
OF_EACH_OTHER = {README.name, README_FR.name}


def both(pattern: str) -> list[list[str]]:
    """What each of the two has of a pattern, in order."""
    return [re.findall(pattern, page.read_text("utf-8"), re.MULTILINE) for page in BOTH]


def test_they_have_the_same_levels_of_headings() -> None:
    english, french = both(r"^(#+) ")
    assert english == french
    assert len(english) > 5


def test_they_have_the_same_commands() -> None:
    """Only the remarks are in another language."""
    assert lines_of(README) == lines_of(README_FR)
    english, french = both(r"^```(\w*)$")
    assert english == french


def test_they_have_the_same_links_and_pictures() -> None:
    english, french = both(r"\]\(([^)]+)\)")
    assert [link for link in english if link not in OF_EACH_OTHER] == [
        link for link in french if link not in OF_EACH_OTHER
    ]
    assert english[0] == README_FR.name
    assert french[0] == README.name
    english, french = both(r'(?:src|srcset)="([^"]+)"')
    assert english == french
    assert english


def test_they_have_the_same_rows_of_tables() -> None:
    english, french = both(r"^\|.*\|$")
    assert [row.count("|") for row in english] == [row.count("|") for row in french]
    assert collections_in(english) == collections_in(french) == [result.collection for result in RESULTS]
    assert figures_in(english) == figures_in(french)
    assert len(figures_in(english)) > 5


def collections_in(rows: list[str]) -> list[str]:
    """The names in the first column that are those of collections."""
    named = [row.split("|")[1].strip() for row in rows]
    return [name for name in named if name in {result.collection for result in RESULTS}]


def figures_in(rows: list[str]) -> list[str]:
    """The numbers of each row, without what their language puts between thousands."""
    return [
        figure for row in rows for figure in sorted(re.findall(r"\d+", re.sub(r"(?<=\d)[,\u00a0](?=\d{3})", "", row)))
    ]


def test_they_have_the_same_marks_and_words_in_code() -> None:
    english, french = both(r"^<!-- (.*) -->$")
    assert english == french
    words = [
        re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", page.read_text("utf-8"), flags=re.DOTALL)) for page in BOTH
    ]
    assert words[0] == words[1]
