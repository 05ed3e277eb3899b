"""The reason why no broker accepts us: aiokafka only reports that it could not connect, so this connects in steps."""

from __future__ import annotations

import asyncio
import errno
import os
import resource
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from typing import Any, Final, TypeAlias

from aiokafka.conn import AIOKafkaConnection
from aiokafka.errors import (
    IllegalSaslStateError,
    KafkaConnectionError,
    KafkaError,
    SaslAuthenticationFailed,
    UnsupportedSaslMechanismError,
)
from aiokafka.protocol.metadata import MetadataRequest

from movie_stream.errors import BrokerClosed, BrokerUnreachable, MovieStreamError, OutOfDescriptors
from movie_stream.kafka.cluster.access import access_options
from movie_stream.settings import Settings, expectation_of

ANSWER_WITHIN_S: Final = 5.0
_CLOSED_WITHIN_S: Final = 1.0
_Answer: TypeAlias = tuple[str, str] | OSError | KafkaError | TimeoutError | None
"""Why a broker rejects us, and the remedy; the error if there is no answer; or None if it accepts us."""
_NO_DESCRIPTOR: Final = frozenset({errno.EMFILE, errno.ENFILE})
_EXPIRED: Final = 10
_HOST_MISMATCH: Final = frozenset({62, 64})
"""Codes of OpenSSL's verification: the host's name, its address."""


async def why_closed(settings: Settings, addresses: str | None = None) -> MovieStreamError:
    """The error that best explains why `addresses` (by default the bootstrap servers) reject us: that of the first one
    that answers. BrokerUnreachable if none answers, OutOfDescriptors if we have no file descriptor to connect with.
    """
    addresses = addresses or settings.require_broker()
    causes: list[str] = []
    async for address, found in _answers(settings, addresses):
        if isinstance(found, tuple):
            return BrokerClosed(address=address, cause=found[0], remedy=found[1])
        if isinstance(found, OSError) and found.errno in _NO_DESCRIPTOR:
            return OutOfDescriptors(limit=resource.getrlimit(resource.RLIMIT_NOFILE)[0])
        causes.append("it did not answer, and does now" if found is None else _short(found))
    return BrokerUnreachable(servers=addresses, cause="; ".join(dict.fromkeys(causes)))


async def why_silent(settings: Settings) -> str:
    """Why none of the bootstrap servers answers, in words; empty if one does."""
    causes = []
    async for _, found in _answers(settings, settings.require_broker()):
        if not isinstance(found, Exception):
            return ""
        causes.append(_short(found))
    return "; ".join(dict.fromkeys(causes))


async def _answers(settings: Settings, addresses: str) -> AsyncIterator[tuple[str, _Answer]]:
    """The outcome of connecting to each address."""
    for address in addresses.split(","):
        host, _, port = address.rpartition(":")
        try:
            yield address, await _knock(settings, host.strip("[]"), int(port))
        except (OSError, KafkaError, TimeoutError) as error:
            yield address, error


async def _knock(settings: Settings, host: str, port: int) -> tuple[str, str] | None:
    """Why a broker rejects us, and the remedy; None if it accepts us. Raises an error if it does not answer."""
    try:
        async with _connected(host, port, **access_options(settings)) as connection:
            return await _ask(settings, connection)
    except SaslAuthenticationFailed:
        user = settings.kafka_sasl_username
        return (
            f"it does not know the user {user} with this password by {settings.kafka_sasl_mechanism}",
            "correct KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD, or have the user made there",
        )
    except UnsupportedSaslMechanismError:
        remedy = f"set KAFKA_SASL_MECHANISM to one that it takes: {expectation_of('kafka_sasl_mechanism')}"
        return f"it does not take {settings.kafka_sasl_mechanism}", remedy
    except IllegalSaslStateError:
        return "it takes no login on this port", f"set KAFKA_SECURITY_PROTOCOL to {_without_login(settings)}"
    except (OSError, KafkaError, TimeoutError) as error:
        return await _meaning(settings, host, port, error)


@asynccontextmanager
async def _connected(host: str, port: int, **access: Any) -> AsyncIterator[AIOKafkaConnection]:
    """A connection for the duration of the block, closed whatever the other side does."""
    connection = AIOKafkaConnection(host, port, request_timeout_ms=int(ANSWER_WITHIN_S * 1000), **access)
    try:
        await connection.connect()
        yield connection
    finally:
        closed = connection.close()
        transport = getattr(connection._protocol, "_transport", None)
        if transport is not None:
            transport.abort()  # `close` would wait for the other side's TLS close_notify
            await asyncio.wait([closed], timeout=_CLOSED_WITHIN_S)
        else:
            await asyncio.sleep(0)  # a connection that broke in the handshake is closed in the loop's next turn


async def _ask(settings: Settings, connection: AIOKafkaConnection) -> tuple[str, str] | None:
    """Checks that an open connection needs no login: a port that wants one answers only the request for its version."""
    try:
        await connection.send(MetadataRequest([]))
    except KafkaConnectionError:
        login = "SASL_SSL" if settings.kafka_security_protocol == "SSL" else "SASL_PLAINTEXT"
        return (
            "it wants a login",
            f"set KAFKA_SECURITY_PROTOCOL to {login}, and KAFKA_SASL_MECHANISM, _USERNAME and _PASSWORD",
        )
    return None


async def _meaning(
    settings: Settings, host: str, port: int, error: OSError | KafkaError | TimeoutError
) -> tuple[str, str]:
    """The cause of a broken connection, and the remedy, by the error and by whether the port speaks TLS."""
    tls = settings.kafka_security_protocol.endswith("SSL")
    broken = next(_ssl_errors(error), None)
    if isinstance(broken, ssl.SSLCertVerificationError):
        return _distrust(settings, host, broken)
    if not isinstance(error, KafkaConnectionError | ConnectionResetError | ssl.SSLError):
        raise error
    if not tls and await _speaks_tls(host, port):
        protocol = "SASL_SSL" if settings.kafka_sasl_username else "SSL or SASL_SSL"
        return "it speaks TLS, and we do not", f"set KAFKA_SECURITY_PROTOCOL to {protocol}"
    if tls and not await _speaks_tls(host, port):
        if await _speaks_plainly(host, port):
            protocol = "SASL_PLAINTEXT" if settings.kafka_sasl_username else "PLAINTEXT or SASL_PLAINTEXT"
            return "it speaks no TLS, and we do", f"use its port for TLS, or set KAFKA_SECURITY_PROTOCOL to {protocol}"
        raise error
    if not tls:
        raise error
    if settings.kafka_tls_certificate is None:
        return (
            f"it wants a certificate of ours{_reason(broken)}",
            "set KAFKA_TLS_CERTIFICATE and KAFKA_TLS_KEY, or use a port that wants none",
        )
    return (
        f"it refuses our certificate{_reason(broken)}",
        "have KAFKA_TLS_CERTIFICATE signed by an authority that the broker trusts",
    )


def _distrust(settings: Settings, host: str, error: ssl.SSLCertVerificationError) -> tuple[str, str]:
    """Why the broker's certificate is not trusted."""
    if error.verify_code in _HOST_MISMATCH:
        return (
            f"its certificate is not for the host {host}",
            "name the brokers in KAFKA_BOOTSTRAP_SERVERS and in their advertised.listeners as their certificates do",
        )
    if error.verify_code == _EXPIRED:
        return "its certificate has expired", "have it renewed on the broker, and see whether the clock here is right"
    if settings.kafka_tls_ca is None:
        remedy = "set KAFKA_TLS_CA to the certificate of the authority that signed it"
    else:
        remedy = "KAFKA_TLS_CA must hold the certificate of the authority that signed it"
    return f"its certificate is not signed by whom we trust: {error.verify_message}", remedy


async def _speaks_tls(host: str, port: int) -> bool:
    """Whether a TLS handshake, with any certificate, completes; nothing is sent after it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        async with asyncio.timeout(ANSWER_WITHIN_S):
            _, writer = await asyncio.open_connection(host, port, ssl=context)
            writer.transport.abort()
            with suppress(OSError):
                await writer.wait_closed()
    except (OSError, TimeoutError):
        return False
    return True


async def _speaks_plainly(host: str, port: int) -> bool:
    """Whether a broker reports its version without TLS."""
    try:
        async with _connected(host, port):
            return True
    except (OSError, KafkaError, TimeoutError):
        return False


def _ssl_errors(error: BaseException | None) -> Iterator[ssl.SSLError]:
    """The TLS errors among the error and its causes; aiokafka wraps the error that ends a connection."""
    while error is not None:
        if isinstance(error, ssl.SSLError):
            yield error
        error = error.__cause__


def _reason(error: ssl.SSLError | None) -> str:
    return f" ({error.reason.lower().replace('_', ' ')})" if error is not None and error.reason else ""


def _without_login(settings: Settings) -> str:
    return settings.kafka_security_protocol.removeprefix("SASL_")


def _short(error: OSError | KafkaError | TimeoutError) -> str:
    """Why there is no connection.

    >>> _short(ConnectionRefusedError(111, "Connect call failed ('127.0.0.1', 9092)")), _short(TimeoutError())
    ('no connection: Connection refused', 'it does not answer in time')
    """
    if isinstance(error, TimeoutError):
        return "it does not answer in time"
    if isinstance(error, OSError) and error.errno is not None and error.errno > 0:
        return f"no connection: {os.strerror(error.errno)}"
    return f"no connection: {error}"
