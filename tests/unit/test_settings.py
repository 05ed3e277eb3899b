import os
from datetime import timedelta
from pathlib import Path
from typing import Any

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
        ("KAFKA_SECURITY_PROTOCOL", "TLS"),
        ("KAFKA_SASL_MECHANISM", "GSSAPI"),
        ("MONGODB_WORKER_USERNAME", "a@b"),
        ("MONGODB_READER_USERNAME", "a/b"),
        ("MONGODB_BI_USERNAME", "a b"),
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
    assert secret_names() == {
        *("mongodb_uri", "mongodb_worker_password", "mongodb_reader_password", "mongodb_bi_password"),
        *("kafka_sasl_password", "kafka_tls_key_password", "api_token"),
    }


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


def test_a_value_that_is_no_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MONGODB_WORKER_PASSWORD", "secret\udcff")
    with pytest.raises(SettingsError, match=r"^MONGODB_WORKER_PASSWORD: expected text in UTF-8$"):
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


LOGIN = {"kafka_sasl_mechanism": "plain", "kafka_sasl_username": "ana", "kafka_sasl_password": "hunter22"}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            {"kafka_security_protocol": "SASL_SSL"},
            "KAFKA_SASL_MECHANISM is not set: but KAFKA_SECURITY_PROTOCOL is SASL_SSL; set it to PLAIN, SCRAM-SHA-256",
        ),
        (
            {**LOGIN, "kafka_security_protocol": "SASL_SSL", "kafka_sasl_password": None},
            "KAFKA_SASL_PASSWORD is not set: but KAFKA_SECURITY_PROTOCOL is SASL_SSL; set it to the password",
        ),
        (LOGIN, "KAFKA_SECURITY_PROTOCOL: expected SASL_SSL or SASL_PLAINTEXT, since KAFKA_SASL_MECHANISM is set, got"),
        (
            {"kafka_security_protocol": "ssl", "kafka_sasl_password": "hunter22"},
            "KAFKA_SECURITY_PROTOCOL: expected SASL_SSL or SASL_PLAINTEXT, since KAFKA_SASL_PASSWORD is set, got 'SSL'",
        ),
        ({"kafka_tls_ca": "ca.pem"}, "expected SSL or SASL_SSL, since KAFKA_TLS_CA is set, got 'PLAINTEXT'"),
        (
            {"kafka_security_protocol": "SSL", "kafka_tls_certificate": "c.pem"},
            "KAFKA_TLS_KEY is not set: but KAFKA_TLS_CERTIFICATE is set; set it to the path of a file in PEM format",
        ),
        (
            {"kafka_security_protocol": "SSL", "kafka_tls_key": "k.pem"},
            "KAFKA_TLS_CERTIFICATE is not set: but KAFKA_TLS_KEY is set",
        ),
        (
            {"kafka_security_protocol": "SSL", "kafka_tls_key_password": "hunter22"},
            "KAFKA_TLS_KEY is not set: but KAFKA_TLS_KEY_PASSWORD is set",
        ),
    ],
)
def test_access_that_is_not_whole_is_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(SettingsError) as refusal:
        load_settings(**given)
    assert said in str(refusal.value)
    assert "hunter22" not in str(refusal.value)


def test_the_embedded_pair_lets_anyone_in() -> None:
    reader = {"mongodb_reader_username": "looks", "mongodb_reader_password": "hunter22", "mongodb_bi_username": "bi"}
    settings = load_settings(**LOGIN, **reader, kafka_security_protocol="SASL_SSL", kafka_tls_ca="ca.pem")
    assert settings.kafka_sasl_mechanism == "PLAIN"
    plain = settings.with_services(bootstrap_servers="localhost:1", mongodb_uri="mongodb://localhost:2")
    assert Settings(**plain.model_dump()) == plain
    assert plain.kafka_security_protocol == "PLAINTEXT"
    assert (plain.mongodb_reader_username, plain.mongodb_bi_username) == (None, None)


@pytest.mark.parametrize(
    ("path", "why"), [("/dev/zero", "it is no regular file"), ("pipe", "it is no regular file"), ("large", "65,536")]
)
def test_a_file_without_an_end_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, why: str
) -> None:
    os.mkfifo(tmp_path / "pipe")
    with (tmp_path / "large").open("wb") as file:
        file.truncate(10 << 30)  # takes no room on the disk
    monkeypatch.setenv("KAFKA_TOPIC_FILE", path)
    with pytest.raises(SettingsError, match="KAFKA_TOPIC_FILE: expected the path of a readable text file") as refusal:
        load_settings()
    assert why in str(refusal.value)


def test_a_dotenv_without_an_end_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / ".env").open("wb") as file:
        file.truncate(10 << 30)
    with pytest.raises(SettingsError, match=r"^\.env: .*it has more than 1,048,576 bytes"):
        load_settings()
    (tmp_path / ".env").unlink()
    os.mkfifo(tmp_path / ".env")
    with pytest.raises(SettingsError, match=r"^\.env: .*it is no regular file"):
        load_settings()


def test_a_wrong_value_is_quoted_in_short_and_without_control_characters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_TOPIC", "\x1b[2J" + "a" * 100_000)
    with pytest.raises(SettingsError) as refusal:
        load_settings()
    assert len(str(refusal.value)) < 300
    assert str(refusal.value).isprintable()


def test_every_setting_is_explained() -> None:
    for name, field in Settings.model_fields.items():
        assert field.description
        assert expectation_of(name)
