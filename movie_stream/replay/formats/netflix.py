"""Netflix Shows, as on Kaggle: `netflix_titles.csv`, a catalogue without numbers of views or ratings.

https://www.kaggle.com/datasets/shivamb/netflix-shows
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import ClassVar, Final

from movie_stream.replay.formats.format import CatalogueFormat, Film
from movie_stream.replay.formats.genres import listed

MINUTES: Final = re.compile(r"\s*(\d{1,4}) min\s*")
SEASONS: Final = re.compile(r"\s*\d{1,3} Seasons?\s*")


class Netflix(CatalogueFormat):
    """Films with their length, and series with their number of seasons, which is not the length of a view.

    Its column `rating` is an age rating.
    """

    name: ClassVar[str] = "netflix"
    title: ClassVar[str] = "titles of Netflix"
    columns: ClassVar[tuple[str, ...]] = ("show_id", "type", "title", "rating", "duration", "listed_in")
    texts: ClassVar[tuple[str, ...]] = ("show_id", "title")

    def film(self, cells: Mapping[str, str]) -> Film:
        duration = cells["duration"]
        if not duration.strip() and MINUTES.fullmatch(cells["rating"]):
            duration = cells["rating"]  # in some rows it is one column to the left
        return Film(
            cells["show_id"].strip(),
            cells["title"].strip(),
            listed(cells["listed_in"]),
            _minutes(duration),
        )


def _minutes(duration: str) -> int:
    """The length of a film in minutes; 0 for a series, and for an empty cell.

    >>> _minutes("90 min"), _minutes("2 Seasons"), _minutes("")
    (90, 0, 0)
    """
    if found := MINUTES.fullmatch(duration):
        return int(found[1])
    if duration.strip() and not SEASONS.fullmatch(duration):
        raise ValueError(f'duration: expected something like 90 min or 2 Seasons, got "{duration[:40]}"')
    return 0
