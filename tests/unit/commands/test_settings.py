import json
from pathlib import Path

import pytest

from movie_stream.commands.settings import example, show_settings
from movie_stream.settings import Settings, load_settings, variable_of

VARIABLES = {variable_of(name) for name in Settings.model_fields}


@pytest.fixture(autouse=True)
def _one_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MONGODB_URI", "mongodb://ana:hunter2@db.example:27017")


def test_the_table_fits_80_columns_and_masks_passwords(capsys: pytest.CaptureFixture[str]) -> None:
    show_settings(load_settings())
    table = capsys.readouterr().out
    assert max(map(len, table.splitlines())) <= 80
    assert {word for word in table.split() if word in VARIABLES} == VARIABLES
    assert "mongodb://ana:***@db.example:27017" in table
    assert "hunter2" not in table


def test_json_is_for_scripts(capsys: pytest.CaptureFixture[str]) -> None:
    show_settings(load_settings(), as_json=True)
    table = json.loads(capsys.readouterr().out)
    assert set(table) == VARIABLES
    assert table["MONGODB_URI"]["value"] == "mongodb://ana:***@db.example:27017"
    assert table["MONGODB_URI"]["source"] == "environment"
    assert table["ALLOWED_LATENESS"] | {"help": ""} == {
        "value": "24h",
        "source": "default",
        "default": "24h",
        "help": "",
    }


def test_the_example_uncommented_gives_the_defaults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MONGODB_URI")
    (tmp_path / ".env").write_text(example().replace("\n# ", "\n").replace("\n", "\n", 1), encoding="utf-8")
    defaults = Settings.model_fields.items()
    lines = [line.removeprefix("# ") for line in example().splitlines() if line.startswith("# ") and "=" in line]
    (tmp_path / ".env").write_text("\n".join(lines[1:]), encoding="utf-8")
    settings = load_settings()
    assert {name: getattr(settings, name) for name, _ in defaults} == {name: f.default for name, f in defaults}
