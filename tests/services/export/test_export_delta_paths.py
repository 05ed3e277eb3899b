"""`export` to Delta Lake: where no table may be made, and tables that are damaged, are one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from movie_stream.export.delta_path import TableDamaged, TableDiffers
from movie_stream.settings import Settings
from tests.services.export.conftest import files, run


def test_a_table_is_never_made_inside_another(filled: Settings, tmp_path: Path) -> None:
    run(filled, "days", to=f"delta:{tmp_path}/lake")
    before = files(tmp_path)
    with pytest.raises(TableDiffers, match=r"lake/hourly_metrics: it lies inside another Delta Lake table .*VACUUM"):
        run(filled, "hours", "genres", to=f"delta:{tmp_path}/lake")
    assert files(tmp_path) == before
    (tmp_path / "lake" / "inner" / "_delta_log").mkdir(parents=True)
    with pytest.raises(TableDiffers, match=r"lake: another table lies in it \(inner\)"):
        run(filled, "days", to=f"delta:{tmp_path}/lake")


@pytest.mark.parametrize("character", [*"%#?[]|^\\\n"])
def test_a_path_that_the_library_takes_for_an_address_is_refused(
    filled: Settings, character: str, tmp_path: Path
) -> None:
    with pytest.raises(TableDiffers, match="Delta Lake cannot have a folder with '"):
        run(filled, "days", to=f"delta:{tmp_path}/x{character}20y")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("spoil", ["missing", "short", "garbled", "log", "log without its beginning"])
def test_a_table_that_is_damaged_is_one_line(filled: Settings, spoil: str, tmp_path: Path) -> None:
    run(filled, "hours", to=f"delta:{tmp_path}")
    for data in tmp_path.rglob("*.parquet"):
        if spoil == "missing":
            data.unlink()
        elif spoil == "short":
            data.write_bytes(data.read_bytes()[:50])
        elif spoil == "garbled":
            data.write_bytes(data.read_bytes()[:8] + b"x" * 60 + data.read_bytes()[68:])
    log = sorted((tmp_path / "_delta_log").glob("*.json"))
    if spoil == "log":
        log[1].write_bytes(log[1].read_bytes()[:80])
    elif spoil == "log without its beginning":
        log[0].unlink()
    before = files(tmp_path)
    with pytest.raises(
        TableDamaged, match=r"the table cannot be read .*missing or damaged; nothing more was changed"
    ) as told:
        run(filled, "hours", to=f"delta:{tmp_path}")
    assert "\n" not in str(told.value)
    assert "unknown" not in str(told.value)
    assert len(str(told.value)) < 600
    assert files(tmp_path) == before
