"""The settings: one class declares the name, type, default, expectation and help of each.

A setting's variable is its name in capitals. It is read from the environment, else from `.env` in the working
directory; `NAME_FILE` in either of them names a file with the value. The command `movie-stream settings`,
`.env.example` and the checks are all generated from the class.
"""

import re
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError, model_validator
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    DotEnvSettingsSource,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from movie_stream.errors import SettingMissing, SettingsError
from movie_stream.masking import keep_secret, keep_uri_secret

_UNIT_MS = {"ms": 1, "s": 1_000, "min": 60_000, "h": 3_600_000, "d": 86_400_000}
_DURATION = re.compile(r"([0-9]{1,15})(ms|s|min|h|d)")
_LONGEST_DAYS = 36_500
_DEAD_LETTERS = "-dead-letters"
_VALUE_BYTES = 64 << 10
"""The largest file with one value, in bytes."""
_DOTENV_BYTES = 1 << 20
_AT_ONCE_BYTES = 16 << 20
"""The part of a batch that is decompressed in one piece, and so the lowest limit; see kafka/batches/inflate.py."""

A_DURATION = "a whole number and a unit (ms, s, min, h or d), such as 24h, 30min or 500ms"
A_PEM = "the path of a file in PEM format"
A_TOPIC = "1 to 200 letters, digits, dots, dashes or underscores, and no dot first"


def parse_duration(text: object) -> timedelta:
    """Parses a duration such as `24h`, `30min`, `90s`, `500ms` or `2d`; nothing else is accepted.

    >>> parse_duration("90s")
    datetime.timedelta(seconds=90)

    Raises ValueError if the text is not a duration, or is longer than a hundred years.
    """
    if isinstance(text, timedelta):
        if timedelta() <= text <= timedelta(days=_LONGEST_DAYS):
            return text
        raise ValueError("out of range")
    match = _DURATION.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise ValueError("no duration")
    milliseconds = int(match[1]) * _UNIT_MS[match[2]]
    if milliseconds > _LONGEST_DAYS * _UNIT_MS["d"]:
        raise ValueError("out of range")
    return timedelta(milliseconds=milliseconds)


def format_duration(duration: timedelta) -> str:
    """Formats a duration in the notation of settings, in the largest exact unit; a day is `24h`.

    >>> format_duration(timedelta(minutes=90)), format_duration(timedelta(days=1))
    ('90min', '24h')
    """
    milliseconds = duration // timedelta(milliseconds=1)
    for unit, size in reversed(_UNIT_MS.items()):
        if milliseconds % size == 0 and milliseconds >= (2 * size if unit == "d" else size):
            return f"{milliseconds // size}{unit}"
    return "0s"


def _check_timezone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise ValueError("no such time zone") from error
    return name


def _check_servers(servers: str) -> str:
    addresses = [address.strip() for address in servers.split(",")]
    if not all(_ADDRESS.fullmatch(address) and int(address.rpartition(":")[2]) <= 65_535 for address in addresses):
        raise ValueError("no host:port")
    return ",".join(addresses)


def _check_uri(uri: SecretStr) -> SecretStr:
    if not re.match(r"mongodb(\+srv)?://[^/]", uri.get_secret_value()):
        raise ValueError("no MongoDB URI")
    return uri


def _check_token(token: SecretStr) -> SecretStr:
    if not re.fullmatch(r"[!-~]{16,512}", token.get_secret_value()):
        raise ValueError("no token")
    return token


AN_ADDRESS = r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):[0-9]{1,5}"
"""The pattern of a host with its port."""
_ADDRESS = re.compile(AN_ADDRESS)

_SASL = ("kafka_sasl_mechanism", "kafka_sasl_username", "kafka_sasl_password")
_TLS = ("kafka_tls_ca", "kafka_tls_certificate", "kafka_tls_key", "kafka_tls_key_password")
_MONGODB_USERS = tuple(f"mongodb_{of}_{part}" for of in ("worker", "reader", "bi") for part in ("username", "password"))
_NEEDS = {
    "kafka_tls_certificate": "kafka_tls_key",
    "kafka_tls_key": "kafka_tls_certificate",
    "kafka_tls_key_password": "kafka_tls_key",
}
"""Settings, and the setting that each of them needs."""

Duration = Annotated[timedelta, BeforeValidator(parse_duration)]
Topic = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-][A-Za-z0-9._-]{0,199}$")]
_in_capitals = BeforeValidator(lambda text: text.upper() if isinstance(text, str) else text)
LogLevel = Annotated[Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"], _in_capitals]


Protocol = Annotated[Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"], _in_capitals]
Mechanism = Annotated[Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"], _in_capitals]


def _setting(default: object, *, expected: str, meaning: str) -> Any:
    return Field(default, description=meaning, json_schema_extra={"expected": expected})


class Settings(BaseSettings):
    """All settings, validated and read-only. Build it with `load_settings`, which explains the errors."""

    model_config = SettingsConfigDict(
        case_sensitive=True,
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
    )

    kafka_bootstrap_servers: Annotated[str, AfterValidator(_check_servers)] | None = _setting(
        None, expected="host:port, several with commas between", meaning="Kafka brokers"
    )
    kafka_security_protocol: Protocol = _setting(
        "PLAINTEXT",
        expected="PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL",
        meaning="protocol to the brokers: with TLS (SSL), with a login (SASL), with both, or with neither",
    )
    kafka_sasl_mechanism: Mechanism | None = _setting(
        None, expected="PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512", meaning="mechanism of the Kafka user's login"
    )
    kafka_sasl_username: Annotated[str, Field(min_length=1)] | None = _setting(
        None, expected="the name of a Kafka user", meaning="Kafka user"
    )
    kafka_sasl_password: SecretStr | None = _setting(
        None, expected="the password of the Kafka user", meaning="password of the Kafka user"
    )
    kafka_tls_ca: str | None = _setting(
        None,
        expected=A_PEM,
        meaning="certificates of the authorities that signed the brokers'; unset: those that the system trusts",
    )
    kafka_tls_certificate: str | None = _setting(
        None, expected=A_PEM, meaning="client certificate for the brokers (mutual TLS)"
    )
    kafka_tls_key: str | None = _setting(None, expected=A_PEM, meaning="private key of that certificate")
    kafka_tls_key_password: SecretStr | None = _setting(
        None, expected="the password of the private key", meaning="password of that key, if it has one"
    )
    kafka_topic: Topic = _setting("movie-events", expected=A_TOPIC, meaning="topic of the views")
    kafka_partials_topic: Topic = _setting(
        "movie-partials", expected=A_TOPIC, meaning="internal topic of partial results"
    )
    kafka_group: Annotated[str, Field(pattern=r"^[^\s\x00-\x1f]{1,200}$")] = _setting(
        "movie-analytics-consumer",
        expected="1 to 200 characters without spaces",
        meaning="consumer group that all workers share",
    )
    kafka_partitions: Annotated[int, Field(ge=1, le=10_000)] = _setting(
        3, expected="a whole number from 1 to 10000", meaning="partitions of the topics that init creates"
    )
    mongodb_uri: Annotated[SecretStr, AfterValidator(_check_uri)] | None = _setting(
        None,
        expected="mongodb://host:port or mongodb+srv://host",
        meaning="MongoDB",
    )
    mongodb_database: Annotated[str, Field(pattern=r'^[^/\\. "$*<>:|?\x00]{1,63}$')] = _setting(
        "movies_db",
        expected='1 to 63 characters without spaces or any of /\\."$*<>:|?',
        meaning="database of the results",
    )
    mongodb_worker_username: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,128}$")] | None = _setting(
        None,
        expected="1 to 128 letters, digits, dots, dashes or underscores",
        meaning="MongoDB user that init --create-user creates for the workers",
    )
    mongodb_worker_password: SecretStr | None = _setting(
        None, expected="the password for that user", meaning="password of that user"
    )
    mongodb_reader_username: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,128}$")] | None = _setting(
        None,
        expected="1 to 128 letters, digits, dots, dashes or underscores",
        meaning="read-only MongoDB user that init --create-user creates and serve logs in as",
    )
    mongodb_reader_password: SecretStr | None = _setting(
        None, expected="the password for that user", meaning="password of that user"
    )
    mongodb_bi_username: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,128}$")] | None = _setting(
        None,
        expected="1 to 128 letters, digits, dots, dashes or underscores",
        meaning="read-only MongoDB user that init --create-user creates for BI tools such as MongoDB Compass",
    )
    mongodb_bi_password: SecretStr | None = _setting(
        None, expected="the password for that user", meaning="password of that user"
    )
    max_record_bytes: Annotated[int, Field(ge=_AT_ONCE_BYTES, le=1 << 30)] = _setting(
        64 << 20,
        expected=f"a whole number from {_AT_ONCE_BYTES} to {1 << 30}",
        meaning="largest record that is read, in bytes after decompression; a worker has room for several",
    )
    max_batch_bytes: Annotated[int, Field(ge=_AT_ONCE_BYTES, le=1 << 40)] = _setting(
        1 << 30,
        expected=f"a whole number from {_AT_ONCE_BYTES} to {1 << 40}",
        meaning="largest record batch that is read, in bytes after decompression; workers decompress it in pieces",
    )
    log_level: LogLevel = _setting(
        "INFO", expected="DEBUG, INFO, WARNING, ERROR or CRITICAL", meaning="level of the log of worker and serve"
    )
    metrics_port: Annotated[int, Field(ge=0, le=65_535)] | None = _setting(
        None,
        expected="a port from 0 to 65535; 0 takes a free one",
        meaning="port of the metrics of a worker or serve for Prometheus, one per process on a host; unset: none",
    )
    metrics_host: Annotated[str, Field(pattern=r"^[^\s/]+$")] = _setting(
        "127.0.0.1", expected="a host name or an IP address", meaning="address that METRICS_PORT listens on"
    )
    api_host: Annotated[str, Field(pattern=r"^[^\s/]+$")] = _setting(
        "127.0.0.1",
        expected="a host name or an IP address",
        meaning="address that serve listens on; beyond this host only with API_TOKEN",
    )
    api_port: Annotated[int, Field(ge=0, le=65_535)] = _setting(
        8080, expected="a port from 0 to 65535; 0 takes a free one", meaning="port that serve listens on"
    )
    api_token: Annotated[SecretStr, AfterValidator(_check_token)] | None = _setting(
        None,
        expected="16 to 512 ASCII characters without spaces",
        meaning="token that serve requires from programs and for its page; unset: none",
    )
    allowed_lateness: Duration = _setting(
        timedelta(hours=24),
        expected=A_DURATION,
        meaning="a view older than the newest of its partition by more than this is late",
    )
    future_tolerance: Duration = _setting(
        timedelta(hours=1),
        expected=A_DURATION,
        meaning="a view may be ahead of its Kafka record's time by at most this",
    )
    session_gap: Duration = _setting(
        timedelta(minutes=30), expected=A_DURATION, meaning="a pause longer than this ends a user's session"
    )
    timezone: Annotated[str, AfterValidator(_check_timezone)] = _setting(
        "UTC", expected="an IANA time zone such as Europe/Berlin", meaning="time zone of peak_hour"
    )
    revenue_per_view: Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False)] = _setting(
        0.0, expected="a number from 0 to 1000000000", meaning="revenue of a view without a price"
    )

    alerts_file: Path | None = _setting(
        None,
        expected="the path of a file with rules in TOML",
        meaning="rules for alerts on the content, the same for all workers; unset: none",
    )
    alerts_idle: Duration = _setting(
        timedelta(seconds=60),
        expected=A_DURATION,
        meaning="a source partition that is idle for this long holds up no alert",
    )

    @property
    def dead_letters_topic(self) -> str:
        """The topic of the refused records (dead letters)."""
        return self.kafka_topic + _DEAD_LETTERS

    def require_broker(self) -> str:
        """The brokers' addresses; raises SettingMissing if they are not set."""
        if self.kafka_bootstrap_servers is None:
            raise SettingMissing(
                variable="KAFKA_BOOTSTRAP_SERVERS",
                remedy="set it to your Kafka (host:port), or start one for trying out with: movie-stream services",
            )
        return self.kafka_bootstrap_servers

    def require_mongodb(self) -> str:
        """The MongoDB URI, with its password; raises SettingMissing if it is not set."""
        if self.mongodb_uri is None:
            raise SettingMissing(
                variable="MONGODB_URI",
                remedy="set it to your MongoDB (mongodb://host:port), or start one for trying out with: "
                "movie-stream services",
            )
        return self.mongodb_uri.get_secret_value()

    def with_services(self, *, bootstrap_servers: str, mongodb_uri: str) -> Self:
        """These settings with another broker and MongoDB that need no login."""
        names = ("kafka_security_protocol", *_SASL, *_TLS, *_MONGODB_USERS)
        access = {name: type(self).model_fields[name].default for name in names}
        return self.model_copy(
            update={"kafka_bootstrap_servers": bootstrap_servers, "mongodb_uri": SecretStr(mongodb_uri), **access}
        )

    def keep_secrets(self) -> None:
        """Masks the secrets in everything that this process prints from now on."""
        for name, user in (
            ("kafka_sasl_password", self.kafka_sasl_username),
            ("kafka_tls_key_password", None),
            ("mongodb_worker_password", self.mongodb_worker_username),
            ("mongodb_reader_password", self.mongodb_reader_username),
            ("mongodb_bi_password", self.mongodb_bi_username),
            ("api_token", None),
        ):
            if (secret := getattr(self, name)) is not None:
                keep_secret(secret.get_secret_value(), user=user or "")
        if self.mongodb_uri is not None:
            keep_uri_secret(self.mongodb_uri.get_secret_value())

    def environment(self) -> dict[str, str]:
        """The environment variables, secrets included, that give a child process the same settings."""
        return {
            variable_of(name): written(getattr(self, name))
            for name in type(self).model_fields
            if getattr(self, name) is not None
        }

    @model_validator(mode="after")
    def _topics_differ(self) -> Self:
        if self.kafka_partials_topic in (self.kafka_topic, self.dead_letters_topic):
            raise SettingsError(
                variable="KAFKA_PARTIALS_TOPIC",
                expected="another topic than KAFKA_TOPIC and its dead letters",
                got=self.kafka_partials_topic,
            )
        return self

    @model_validator(mode="after")
    def _access_is_complete(self) -> Self:
        """Checks that the settings of TLS and login fit the protocol; an unused password is also an error."""
        protocol = self.kafka_security_protocol
        self._check_fit(_SASL, used=protocol.startswith("SASL_"), protocols="SASL_SSL or SASL_PLAINTEXT")
        self._check_fit(_TLS, used=protocol.endswith("SSL"), protocols="SSL or SASL_SSL")
        needed = {name: f"KAFKA_SECURITY_PROTOCOL is {protocol}" for name in _SASL if protocol.startswith("SASL_")}
        for name, other in _NEEDS.items():
            if getattr(self, name) is not None:
                needed[other] = f"{variable_of(name)} is set"
        for name, why in needed.items():
            if getattr(self, name) is None:
                raise SettingMissing(variable=variable_of(name), remedy=f"but {why}; set it to {expectation_of(name)}")
        return self

    def _check_fit(self, names: tuple[str, ...], *, used: bool, protocols: str) -> None:
        for name in names:
            if not used and getattr(self, name) is not None:
                raise SettingsError(
                    variable="KAFKA_SECURITY_PROTOCOL",
                    expected=f"{protocols}, since {variable_of(name)} is set",
                    got=self.kafka_security_protocol,
                )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, *_layers()


class _Layer(PydanticBaseSettingsSource):
    """Settings from one set of variables (`origin` says which), by NAME or by NAME_FILE."""

    def __init__(self, origin: str, variables: EnvSettingsSource) -> None:
        super().__init__(variables.settings_cls)
        self.origin = origin
        self._variables = variables.env_vars

    def variable(self, name: str) -> str | None:
        """The variable that sets this setting in this layer, if any."""
        direct, by_file = variable_of(name), f"{variable_of(name)}_FILE"
        found = [variable for variable in (direct, by_file) if self._variables.get(variable)]
        if len(found) == 2:
            expected = f"either {direct} or {by_file}, got both in the {self.origin}"
            raise SettingsError(variable=direct, expected=expected)
        return found[0] if found else None

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        variable = self.variable(field_name)
        if variable is None:
            return None, field_name, False
        value = self._variables[variable] or ""
        if variable != variable_of(field_name):  # it is NAME_FILE
            return _content(variable, value), field_name, False
        if any("\ud800" <= char <= "\udfff" for char in value):  # how Python decodes bytes that are not UTF-8
            raise SettingsError(variable=variable, expected="text in UTF-8")
        return value.strip(), field_name, False

    def __call__(self) -> dict[str, Any]:
        values = {name: self.get_field_value(field, name)[0] for name, field in self.settings_cls.model_fields.items()}
        return {name: value for name, value in values.items() if value is not None}


def load_settings(**overrides: Any) -> Settings:
    """The settings of this process; `overrides` (by field name) take precedence over all variables.

    >>> load_settings(session_gap="45min").session_gap
    datetime.timedelta(seconds=2700)

    Raises SettingsError with the variable, the expected and the received value (never a secret).
    """
    try:
        settings = Settings(**overrides)
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        name = str(fault["loc"][0])
        got = None if name in secret_names() else written(fault["input"])
        raise SettingsError(variable=variable_of(name), expected=expectation_of(name), got=got) from error
    settings.keep_secrets()
    return settings


def settings_with(settings: Settings | None, **overrides: Any) -> Settings:
    """These settings, or those of this process, with the `overrides` (by field name) that are not None.

    >>> settings_with(load_settings(kafka_topic="a"), kafka_topic=None, kafka_partitions=7).kafka_topic
    'a'

    Raises SettingsError.
    """
    given = {name: value for name, value in overrides.items() if value is not None}
    if settings is None:
        return load_settings(**given)
    return load_settings(**dict(settings) | given) if given else settings


def origin_of(name: str) -> str:
    """The origin of a setting's value: "environment", ".env" or "default", with NAME_FILE if that was read."""
    for layer in _layers():
        variable = layer.variable(name)
        if variable is not None:
            return layer.origin if variable == variable_of(name) else f"{layer.origin} ({variable})"
    return "default"


def variable_of(name: str) -> str:
    """The variable of a setting: `kafka_topic` is read from KAFKA_TOPIC."""
    return name.upper()


def expectation_of(name: str) -> str:
    """The expected value of a setting, for an error."""
    extra = Settings.model_fields[name].json_schema_extra
    return str(extra["expected"]) if isinstance(extra, dict) else ""


def secret_names() -> frozenset[str]:
    """The names of the settings whose values are secret."""
    return frozenset(name for name, field in Settings.model_fields.items() if "SecretStr" in str(field.annotation))


def written(value: object) -> str:
    """The value of a setting as text for its variable, secrets included."""
    match value:
        case None:
            return ""
        case timedelta():
            return format_duration(value)
        case SecretStr():
            return value.get_secret_value()
        case float():
            return repr(value).removesuffix(".0")
        case _:
            return str(value)


def _layers() -> tuple[_Layer, ...]:
    try:
        if Path(".env").exists():
            read_text(Path(".env"), at_most_bytes=_DOTENV_BYTES)  # since it is read without a limit below
        dotenv = DotEnvSettingsSource(Settings, env_file=".env", env_file_encoding="utf-8")
    except (OSError, ValueError) as error:
        raise SettingsError(variable=".env", expected="a readable text file in UTF-8", remedy=_why(error)) from error
    return _Layer("environment", EnvSettingsSource(Settings)), _Layer(".env", dotenv)


def _content(variable: str, path: str) -> str:
    try:
        return read_text(Path(path), at_most_bytes=_VALUE_BYTES).strip()
    except (OSError, ValueError) as error:
        raise SettingsError(
            variable=variable, expected="the path of a readable text file", got=path, remedy=_why(error)
        ) from error


def read_text(path: Path, *, at_most_bytes: int) -> str:
    """Reads a text file in UTF-8. Raises OSError, and ValueError if it is too large or no regular file: reading a pipe
    that nobody writes to, or a device, might never end.
    """
    if not path.is_file():
        path.stat()  # the best error if there is nothing
        raise ValueError("it is no regular file")
    with path.open("rb") as file:
        content = file.read(at_most_bytes + 1)
    if len(content) > at_most_bytes:
        raise ValueError(f"it has more than {at_most_bytes:,} bytes")
    return content.decode("utf-8")


def _why(error: OSError | ValueError) -> str:
    match error:
        case OSError():
            return error.strerror or str(error)
        case UnicodeDecodeError():
            return "it is not UTF-8"  # the error itself quotes the bytes, perhaps of a secret
        case _:
            return str(error)
