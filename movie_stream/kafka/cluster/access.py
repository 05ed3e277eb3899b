"""The security options of connections to the broker: protocol, login and certificates."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any, Final

from movie_stream.errors import SettingMissing, SettingsError
from movie_stream.settings import Settings, expectation_of, read_text, variable_of

_PEM_BYTES: Final = 4 << 20
"""The largest certificate file that is read; those of operating systems have about 200 KB."""


def access_options(settings: Settings) -> dict[str, Any]:
    """The options of aiokafka's clients. Raises SettingsError if a certificate or a key cannot be used."""
    options: dict[str, Any] = {"security_protocol": settings.kafka_security_protocol}
    if settings.kafka_security_protocol.endswith("SSL"):
        options["ssl_context"] = tls_context(settings)
    if settings.kafka_sasl_mechanism is not None and settings.kafka_sasl_password is not None:
        options |= {
            "sasl_mechanism": settings.kafka_sasl_mechanism,
            "sasl_plain_username": settings.kafka_sasl_username,
            "sasl_plain_password": settings.kafka_sasl_password.get_secret_value(),
        }
    return options


def access_in_words(settings: Settings) -> str:
    """The user and the protocol in words, without secrets.

    >>> access_in_words(Settings())
    'PLAINTEXT, without a login'
    """
    words: list[str] = [settings.kafka_security_protocol]
    if settings.kafka_sasl_username is not None:
        words.append(f"as {settings.kafka_sasl_username} by {settings.kafka_sasl_mechanism}")
    if settings.kafka_tls_certificate is not None:
        words.append(f"with the certificate {settings.kafka_tls_certificate}")
    return ", ".join(words if len(words) > 1 else [*words, "without a login"])


def user_of(settings: Settings) -> str:
    """The principal that the broker sees, as far as we know."""
    if settings.kafka_sasl_username is not None:
        return settings.kafka_sasl_username
    if settings.kafka_tls_certificate is not None:
        return f"of the certificate {settings.kafka_tls_certificate}"
    return "ANONYMOUS"


def tls_context(settings: Settings) -> ssl.SSLContext:
    """The TLS context. It always verifies brokers' certificates and host names."""
    for name in ("kafka_tls_ca", "kafka_tls_certificate", "kafka_tls_key"):
        _check_readable(settings, name)
    try:
        context = ssl.create_default_context(cafile=settings.kafka_tls_ca)
    except (ssl.SSLError, ValueError) as error:
        raise _unusable(settings, "kafka_tls_ca", "it holds no certificate in PEM format") from error
    if settings.kafka_tls_certificate is not None:
        _load_own(settings, context)
    return context


def _load_own(settings: Settings, context: ssl.SSLContext) -> None:
    """Loads the client certificate and its key."""
    assert settings.kafka_tls_certificate is not None
    secret = settings.kafka_tls_key_password

    def password() -> str:  # called only if the key is encrypted; else OpenSSL would prompt at the terminal
        if secret is None:
            raise SettingMissing(
                variable="KAFKA_TLS_KEY_PASSWORD", remedy="but the key in KAFKA_TLS_KEY is encrypted; set it"
            )
        return secret.get_secret_value()

    try:
        context.load_cert_chain(settings.kafka_tls_certificate, settings.kafka_tls_key, password)
    except (ssl.SSLError, ValueError) as error:
        raise _cause_of(settings, error) from error


def _cause_of(settings: Settings, error: ssl.SSLError | ValueError) -> SettingsError:
    """The error that says which of the two files is wrong, and why; OpenSSL reports it as constants."""
    reason = error.reason if isinstance(error, ssl.SSLError) else ""
    if reason == "KEY_VALUES_MISMATCH":
        return _unusable(settings, "kafka_tls_key", "it is the key of another certificate than KAFKA_TLS_CERTIFICATE")
    if "-----BEGIN CERTIFICATE-----" not in read_text(
        Path(settings.kafka_tls_certificate or ""), at_most_bytes=_PEM_BYTES
    ):
        return _unusable(settings, "kafka_tls_certificate", "it holds no certificate in PEM format")
    if "PRIVATE KEY-----" not in read_text(Path(settings.kafka_tls_key or ""), at_most_bytes=_PEM_BYTES):
        return _unusable(settings, "kafka_tls_key", "it holds no private key in PEM format")
    if settings.kafka_tls_key_password is not None:
        return _unusable(settings, "kafka_tls_key", "it is damaged, or KAFKA_TLS_KEY_PASSWORD is not its password")
    return _unusable(settings, "kafka_tls_key", "it or the certificate is damaged")


def _check_readable(settings: Settings, name: str) -> None:
    path = getattr(settings, name)
    if path is None:
        return
    try:
        read_text(Path(path), at_most_bytes=_PEM_BYTES)
    except OSError as error:
        raise _unusable(settings, name, error.strerror or str(error)) from error
    except UnicodeDecodeError as error:
        raise _unusable(settings, name, "it is binary; convert it with openssl") from error
    except ValueError as error:
        raise _unusable(settings, name, str(error)) from error


def _unusable(settings: Settings, name: str, why: str) -> SettingsError:
    return SettingsError(
        variable=variable_of(name), expected=expectation_of(name), got=getattr(settings, name), remedy=why
    )
