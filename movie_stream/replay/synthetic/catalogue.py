"""The films of made-up views: a few popular and many rare ones, always the same."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

FILMS: Final = 400
SEED: Final = 1895
GENRES: Final = (
    ("Drama", 22),
    ("Comedy", 18),
    ("Action", 15),
    ("Thriller", 10),
    ("Sci-Fi", 8),
    ("Romance", 7),
    ("Horror", 6),
    ("Animation", 5),
    ("Crime", 4),
    ("Fantasy", 3),
    ("Documentary", 1),
    ("Western", 1),
)
"""Genres, each with its share of the films in percent."""
PRICES: Final = (1.99, 2.99, 3.99, 4.99, 9.99)
POPULARITY_FALL: Final = 0.8
"""Exponent of Zipf's law: the film of rank r has 1 / r ** 0.8 of the views of the first."""

QUALITIES: Final = [
    "Quiet",
    "Last",
    "Golden",
    "Broken",
    "Silent",
    "Hidden",
    "Distant",
    "Burning",
    "Frozen",
    "Restless",
    "Crooked",
    "Velvet",
    "Hollow",
    "Electric",
    "Crimson",
    "Forgotten",
    "Patient",
    "Salt",
    "Paper",
    "Midnight",
]
THINGS: Final = [
    "River",
    "Harbour",
    "Orchard",
    "Signal",
    "Winter",
    "Garden",
    "Lantern",
    "Highway",
    "Kingdom",
    "Letter",
    "Summer",
    "Island",
    "Engine",
    "Mirror",
    "Compass",
    "Station",
    "Ballroom",
    "Horizon",
    "Tide",
    "Cathedral",
]
PLACES: Final = [
    "Lisbon",
    "Alexandria",
    "Montreal",
    "Kyoto",
    "Bergen",
    "Valparaíso",
    "Odessa",
    "Marrakesh",
    "Galway",
    "Kraków",
]
PEOPLE: Final = ["Margaret", "Ishaan", "Lucía", "Tomasz", "Adaeze", "Henrik", "Noor", "Beatriz"]


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Films, at least one, in columns of equal length."""

    movie_id: list[str]
    title: list[str]
    genre: list[str]
    popularity: NDArray[np.float64]
    """The cumulative share of the views up to each film, rising to 1; see `cumulative`."""
    quality: NDArray[np.float64]
    """The average rating in stars; NaN if unknown: then the film's views have none."""
    minutes: NDArray[np.int64]
    """The length in minutes; 0 if unknown: then the film's views have no duration."""
    price: NDArray[np.float64]
    """The price of a view; NaN if there is none."""

    def __len__(self) -> int:
        return len(self.movie_id)

    def without_prices(self) -> Catalogue:
        """The same films without prices."""
        return replace(self, price=np.full(len(self), np.nan))


def cumulative(weights: ArrayLike) -> NDArray[np.float64]:
    """The `popularity` of films that are seen in proportion to their weights.

    >>> cumulative([2, 1, 1, 0]).tolist()
    [0.5, 0.75, 1.0, 1.0]

    Raises ValueError if a weight is negative or not a number, or none is above 0.
    """
    weight = np.asarray(weights, np.float64)
    if not (np.isfinite(weight).all() and (weight >= 0).all() and (weight > 0).any()):
        raise ValueError("expected weights from 0 on, and one above 0")
    popularity: NDArray[np.float64] = np.minimum(np.cumsum(weight) / weight.sum(), 1.0)
    popularity[np.flatnonzero(weight)[-1] :] = 1.0  # despite rounding
    return popularity


def catalogue(count: int = FILMS) -> Catalogue:
    """Made-up films, always the same for the same count.

    >>> films = catalogue()
    >>> len(films), len(set(films.title)), films.movie_id[0]
    (400, 400, 'tt0000001')
    """
    random = np.random.default_rng(SEED)
    shares = np.array([share for _, share in GENRES], np.float64)
    genre = random.choice([name for name, _ in GENRES], count, p=shares / shares.sum())
    weight = random.permutation(1.0 / np.arange(1, count + 1) ** POPULARITY_FALL)
    titles = _titles(count)
    return Catalogue(
        movie_id=[f"tt{number:07d}" for number in range(1, count + 1)],
        title=[titles[at] for at in random.permutation(len(titles))[:count].tolist()],
        genre=genre.tolist(),
        popularity=cumulative(weight),
        quality=np.clip(random.normal(3.4, 0.6, count), 1.5, 4.8),
        minutes=np.clip(random.normal(112, 18, count), 74, 196).astype(np.int64),
        price=random.choice(PRICES, count),
    )


def _titles(at_least: int) -> list[str]:
    """Distinct titles, the short ones first; some have commas or quotes, as real ones do."""
    things = [f"{quality} {thing}" for quality in QUALITIES for thing in THINGS]
    titles = [f"The {thing}" for thing in things]
    titles += [f"{thing} of {setting}" for thing in THINGS for setting in PLACES]
    titles += [f"{person} and the {thing}" for person in PEOPLE for thing in THINGS]
    titles += [f"{quality} Days, {quality} Nights" for quality in QUALITIES]
    titles += [f'They Called Her "{person}"' for person in PEOPLE]
    if len(titles) < at_least:
        titles += [f"The {thing} of {setting}" for thing in things for setting in PLACES]
        titles += [
            f"{person} and the {thing} of {setting}" for person in PEOPLE for thing in things for setting in PLACES
        ]
    parts = -(-at_least // len(titles))
    return titles + [f"{title} {part}" for part in range(2, parts + 1) for title in titles]
