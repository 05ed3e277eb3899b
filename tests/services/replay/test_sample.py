"""The sample, as a checkout and as a wheel have it."""

import subprocess
import sys
import zipfile
from pathlib import Path

from movie_stream.replay.records.csv_views import ViewsFile
from movie_stream.replay.sample import SAMPLE_VIEWS, sample

ROOT = Path(__file__).parents[3]


def test_it_is_the_file_at_the_root_and_all_of_it_can_be_used() -> None:
    assert sample() == ROOT / "data" / "movies.csv"
    with ViewsFile(sample()) as views:
        chunks = list(views.chunks(0))
    assert sum(map(len, chunks)) == SAMPLE_VIEWS
    assert not any(chunk.refused for chunk in chunks)


def test_a_wheel_has_it_where_it_is_looked_for(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    [wheel] = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        assert archive.read("movie_stream/data/movies.csv") == sample().read_bytes()
