"""`movie-stream services`: runs the embedded broker and mongod in the foreground, until Ctrl-C or SIGTERM."""

import asyncio
import signal
import sys

from rich.console import Console

from movie_stream.embedded.services import EmbeddedServices
from movie_stream.settings import Settings, origin_of, variable_of

_PROSE = """
A Kafka broker and a MongoDB are running. Paste the two lines above into another terminal,
and continue there with: movie-stream init
[yellow]All they hold is in memory or a temporary folder, and is gone when they end.[/yellow]
Ctrl-C ends both."""


def services(settings: Settings) -> None:
    """Runs both and prints the two variables to export. Raises EmbeddedFailed if one of them ends unexpectedly."""
    asyncio.run(_serve_until_stopped(settings))


async def _serve_until_stopped(settings: Settings) -> None:
    task = asyncio.current_task()
    assert task is not None
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    prose = Console(stderr=True, highlight=False, soft_wrap=True)
    # Looked up before our lines are written, which may go to .env.
    origins = {name: origin_of(name) for name in ("kafka_bootstrap_servers", "mongodb_uri")}
    try:
        async with EmbeddedServices() as running:
            pair = running.applied_to(settings)
            # Standard output has only these two lines, so that a script can read them.
            sys.stdout.write(f"export KAFKA_BOOTSTRAP_SERVERS={pair.require_broker()}\n")
            sys.stdout.write(f"export MONGODB_URI={pair.require_mongodb()}\n")
            sys.stdout.flush()
            prose.print(_PROSE)
            for name, origin in origins.items():
                if origin != "default":
                    prose.print(f"Note: {variable_of(name)} is set already ({origin}); the export replaces it.")
            if settings.kafka_security_protocol != pair.kafka_security_protocol:
                prose.print("Note: unset KAFKA_SECURITY_PROTOCOL and what belongs to it; this broker lets anyone in.")
            await running.fail()
    except asyncio.CancelledError:
        prose.print("\nBoth have ended.")
