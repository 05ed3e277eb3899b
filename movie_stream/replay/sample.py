"""The ten views of `data/movies.csv`, in the checkout or in the installed package."""

from pathlib import Path
from typing import Final

from movie_stream.errors import InputError

SAMPLE_VIEWS: Final = 10


def sample() -> Path:
    """The path of the sample file. Raises InputError if the package was installed without it."""
    package = Path(__file__).parent.parent
    paths = package / "data" / "movies.csv", package.parent / "data" / "movies.csv"
    for path in paths:
        if path.is_file():
            return path
    raise InputError(
        path=paths[0],
        expected="the sample of movie-stream",
        got="no such file",
        remedy="install movie-stream again, or name a CSV with --file",
    )
