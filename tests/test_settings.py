from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from movie_stream.errors import SettingMissing, SettingsError
from movie_stream.settings import (
    Settings,
    expectation_of,
    format_duration,
    load_settings,
    origin_of,
    parse_duration,
    secret_names,
)


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_defaults() -> None:
    settings = load_settings()
    assert (settings.kafka_topic, settings.dead_letters_topic) == (
        "movie-events",
        "movie-events-dead-letters",
    )
    assert settings.allowed_lateness == timedelta(hours=24)
    assert settings.revenue_per_view == 0


@given(st.integers(0, 36_500 * 86_400_000))
def test_a_duration_is_read_back_as_it_was_written(milliseconds: int) -> None:
    duration = timedelta(milliseconds=milliseconds)
    assert parse_duration(format_duration(duration)) == duration


@given(st.text())
@example("24")
@example("1.5h")
@example("-1h")
@example("1 h")
@example("24H")
@example("٣h")
@example("1h30min")
@example("36501d")
@example("999999999999999d")
def test_a_duration_is_a_whole_number_and_a_unit_or_refused(text: str) -> None:
    try:
        duration = parse_duration(text)
    except ValueError:
        return
    assert text.rstrip("hmsind").isascii()
    assert text.rstrip("hmsind").isdigit()
    assert duration <= timedelta(days=36_500)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("KAFKA_BOOTSTRAP_SERVERS", "localhost"),
        ("KAFKA_BOOTSTRAP_SERVERS", "a:9092,,b:9092"),
        ("KAFKA_BOOTSTRAP_SERVERS", "a:99999"),
        ("KAFKA_TOPIC", "films and views"),
        ("KAFKA_TOPIC", ".."),
        ("KAFKA_GROUP", "a b"),
        ("KAFKA_PARTITIONS", "0"),
        ("KAFKA_PARTITIONS", "three"),
        ("MONGODB_DATABASE", "a/b"),
        ("LOG_LEVEL", "LOUD"),
        ("ALLOWED_LATENESS", "24"),
        ("SESSION_GAP", "half an hour"),
        ("TIMEZONE", "Mars/Olympus"),
        ("TIMEZONE", "/etc/passwd"),
        ("REVENUE_PER_VIEW", "nan"),
        ("REVENUE_PER_VIEW", "-1"),
        ("REVENUE_PER_VIEW", "1000000001"),
    ],
)
def test_a_bad_value_is_refused_by_name(monkeypatch: pytest.MonkeyPatch, variable: str, value: str) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError) as refusal:
        load_settings()
    assert str(refusal.value) == f"{variable}: expected {expectation_of(variable.lower())}, got {value!r}"
    assert refusal.value.exit_code == 2


def test_a_bad_secret_is_refused_without_being_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MONGODB_URI", "postgres://ana:hunter2@db")
    with pytest.raises(SettingsError, match="MONGODB_URI: expected mongodb") as refusal:
        load_settings()
    assert "hunter2" not in str(refusal.value)
    assert secret_names() == {"mongodb_uri"}


def test_topics_must_differ() -> None:
    with pytest.raises(SettingsError, match="KAFKA_PARTIALS_TOPIC: expected another topic than KAFKA_TOPIC"):
        load_settings(kafka_topic="one", kafka_partials_topic="one-dead-letters")


def test_the_environment_wins_over_dotenv_and_the_caller_over_both(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".env").write_text("KAFKA_TOPIC=of-dotenv\nKAFKA_GROUP='of dotenv'\nOTHER=1\nLOG_LEVEL=debug\n")
    monkeypatch.setenv("KAFKA_TOPIC", "of-environment")
    settings = load_settings(kafka_group="of-caller")
    assert (settings.kafka_topic, settings.kafka_group) == ("of-environment", "of-caller")
    assert settings.log_level == "DEBUG"
    assert [origin_of(name) for name in ("kafka_topic", "log_level", "timezone")] == [
        "environment",
        ".env",
        "default",
    ]


def test_an_empty_variable_is_as_good_as_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_TOPIC", "")
    assert load_settings().kafka_topic == "movie-events"


def test_a_value_from_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "uri").write_text("mongodb://ana:hunter2@db\n")
    monkeypatch.setenv("MONGODB_URI_FILE", str(tmp_path / "uri"))
    settings = load_settings()
    assert settings.require_mongodb() == "mongodb://ana:hunter2@db"
    assert origin_of("mongodb_uri") == "environment (MONGODB_URI_FILE)"
    assert "hunter2" not in repr(settings)


def test_a_value_and_a_file_in_one_place_contradict(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MONGODB_URI", "mongodb://db")
    monkeypatch.setenv("MONGODB_URI_FILE", str(tmp_path / "uri"))
    with pytest.raises(SettingsError, match="either MONGODB_URI or MONGODB_URI_FILE, got both in the environment"):
        load_settings()


def test_a_value_from_a_file_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MONGODB_URI_FILE", "/no/such/file")
    with pytest.raises(SettingsError, match="MONGODB_URI_FILE: expected the path of a readable text file"):
        load_settings()


def test_a_dotenv_that_is_no_text(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"KAFKA_TOPIC=\xff\xfe\n")
    with pytest.raises(SettingsError, match=r"^\.env: expected a readable text file in UTF-8"):
        load_settings()


def test_what_a_command_needs_is_named_with_the_remedy() -> None:
    settings = load_settings()
    with pytest.raises(SettingMissing, match=r"^KAFKA_BOOTSTRAP_SERVERS is not set: .*movie-stream services"):
        settings.require_broker()
    with pytest.raises(SettingMissing, match=r"^MONGODB_URI is not set: .*movie-stream services"):
        settings.require_mongodb()


def test_a_child_process_gets_the_very_same_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load_settings(
        kafka_bootstrap_servers="a:1, [::1]:2",
        mongodb_uri="mongodb://ana:pw@db",
        session_gap="90s",
        revenue_per_view=0.1,
    )
    for variable, value in settings.environment().items():
        monkeypatch.setenv(variable, value)
    assert load_settings() == settings


def test_every_setting_is_explained() -> None:
    for name, field in Settings.model_fields.items():
        assert field.description
        assert expectation_of(name)
