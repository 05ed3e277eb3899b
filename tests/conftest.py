"""For all tests: the real broker and mongod, settings of a test's own, and a check that nothing is left behind."""

import asyncio
import gc
import inspect
import os
import signal
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import AsyncIterator, Generator, Iterator
from pathlib import Path
from typing import Final

import hypothesis
import psutil
import pytest

from movie_stream import masking
from movie_stream.embedded.services import EmbeddedServices
from movie_stream.kafka.batches.holes import HOLES
from movie_stream.settings import Settings, variable_of
from tests.support.examples import examples
from tests.support.processes import below
from tests.support.site import DOCS, build

_SETTLE_S = 5.0

# A busy machine is no failure. In CI the same examples come every time; elsewhere new ones are looked for.
hypothesis.settings.register_profile(
    "movie-stream",
    max_examples=examples(100),
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
    derandomize="CI" in os.environ,
    print_blob=True,
)
hypothesis.settings.load_profile("movie-stream")

if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:  # as in the background of a script; tests press Ctrl-C
    signal.signal(signal.SIGINT, signal.default_int_handler)

TESTS: Final = Path(__file__).parent
UNIT: Final = TESTS / "unit"
LONGEST_FIRST: Final = (
    *("services/test_tutorial.py", "services/agents/test_rebalances.py", "services/commands/test_demo.py"),
    *("services/web/test_changes.py", "services/agents/test_worker.py", "services/test_end_to_end.py"),
    *("services/commands/test_generate.py", "services/commands/test_produce.py", "services/test_schedules.py"),
    *("services/mongo/test_users.py", "services/test_docs_commands.py", "services/replay/test_resume.py"),
    *("services/web/test_serve.py", "services/test_bench.py", "services/web/test_api.py", "services/test_site.py"),
    *("services/test_strangers.py", "chaos/test_workers.py", "services/test_cli.py"),
    *("services/test_secrets.py", "services/console/test_exits.py", "services/kafka/test_unpack.py"),
    *("services/mongo/test_workers.py", "services/commands/test_rebuild.py", "services/alerts/test_evaluator.py"),
    *("services/mongo/test_sink.py", "services/test_ends.py", "services/odata/test_olingo.py"),
)
"""The files that take longest, by `--durations=0`: of several processes, none is to be at one when all else is done."""


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Keeps what is collected out of the search for garbage: it stays to the end, and each search would take long."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        gc.freeze()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Puts the longest files first, and between those that mostly wait the ones that only compute, so that there is
    always work for the processors; xdist keeps that order with `--no-loadscope-reorder`.
    """
    place = {TESTS / name: number for number, name in enumerate(LONGEST_FIRST)}
    files = sorted(dict.fromkeys(item.path for item in items), key=lambda path: place.get(path, len(place)))
    waiting, computing = list[Path](), list[Path]()
    for path in files:
        (waiting if path.is_relative_to(TESTS) and not path.is_relative_to(UNIT) else computing).append(path)
    progress = {path: at / len(some) for some in (waiting, computing) for at, path in enumerate(some, 1)}
    items.sort(key=lambda item: progress[item.path])


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Where NO_SKIPS is set, a test that skips itself fails: a tool that it needs has to be there."""
    report = yield
    if os.environ.get("NO_SKIPS") and report.skipped and not hasattr(report, "wasxfail"):
        why = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome, report.longrepr = (
            "failed",
            f"skipped, and NO_SKIPS is set: {str(why).removeprefix('Skipped: ')}",
        )
    return report


@pytest.fixture(scope="session", autouse=True)
def temporary_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """All temporary files of this run are made in here, so that another program's are not taken for ours."""
    folder = tmp_path_factory.mktemp("temporary")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", str(folder))
        patch.setattr(tempfile, "tempdir", str(folder))
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        for name in Settings.model_fields:
            patch.delenv(variable_of(name), raising=False)
            patch.delenv(f"{variable_of(name)}_FILE", raising=False)
        yield folder


@pytest.fixture(scope="session")
def services(temporary_folder: Path) -> Iterator[EmbeddedServices]:
    """A real broker and a real mongod, shared by the tests of one run; the broker is one of yours where you name it."""
    with EmbeddedServices() as running:
        running.bootstrap_servers = os.environ.get("TESTS_KAFKA_BOOTSTRAP_SERVERS") or running.bootstrap_servers
        yield running


@pytest.fixture
def settings(services: EmbeddedServices) -> Settings:
    """Settings with topics, a group and a database of the test's own; a developer's `.env` has no say."""
    unique = uuid.uuid4().hex[:8]
    defaults = {name: field.default for name, field in Settings.model_fields.items()}
    return Settings(
        **defaults
        | {
            "kafka_bootstrap_servers": services.bootstrap_servers,
            "mongodb_uri": services.mongodb_uri,
            "kafka_topic": f"movie-events-{unique}",
            "kafka_partials_topic": f"movie-partials-{unique}",
            "kafka_group": f"movie-analytics-{unique}",
            "mongodb_database": f"movies_{unique}",
        }
    )


@pytest.fixture(autouse=True)
def no_waiting_at_holes() -> None:
    """That the embedded broker was met by one test is nothing to the next."""
    HOLES.waits = False


@pytest.fixture(autouse=True)
def nothing_left_behind(request: pytest.FixtureRequest, temporary_folder: Path) -> Iterator[None]:
    """Fail a test that leaves a process, thread, task, temporary file or environment variable behind."""
    if "settings" in request.fixturenames or "services" in request.fixturenames:
        request.getfixturevalue("services")
    if inspect.iscoroutinefunction(getattr(request, "function", None)):
        request.getfixturevalue("no_tasks_left_behind")
    processes, threads = below(os.getpid()), _threads()
    environment, files = _environment(), set(temporary_folder.iterdir())
    secrets = dict(masking._secrets)
    yield
    masking._secrets.clear()  # what one test keeps secret would be masked in the messages of others
    masking._secrets.update(secrets)
    left_processes, _ = psutil.wait_procs(below(os.getpid()) - processes, timeout=_SETTLE_S)[::-1]
    left_threads = _threads() - threads
    deadline = time.monotonic() + _SETTLE_S
    while any(thread.ident is None for thread in left_threads) and time.monotonic() < deadline:
        time.sleep(0.01)  # one that is listed and not yet running cannot be joined
    for thread in left_threads:
        thread.join(_SETTLE_S)
    deadline = time.monotonic() + _SETTLE_S
    while set(temporary_folder.iterdir()) - files and time.monotonic() < deadline:
        time.sleep(0.02)  # a guard whose parent was interrupted while it started it removes what it has made by itself
    left = {
        "processes": [str(process) for process in left_processes],
        "threads": [thread.name for thread in left_threads if thread.is_alive()],
        "files": sorted(str(file) for file in set(temporary_folder.iterdir()) - files),
        "variables": sorted(name for name, _ in environment ^ _environment()),
    }
    assert not any(left.values()), f"the test left behind: { {kind: names for kind, names in left.items() if names} }"


@pytest.fixture
async def no_tasks_left_behind() -> AsyncIterator[None]:
    before = asyncio.all_tasks()
    yield
    left = asyncio.all_tasks() - before - {asyncio.current_task()}
    _, pending = await asyncio.wait(left, timeout=_SETTLE_S) if left else (set(), set())
    assert not pending, f"the test left tasks behind: {pending}"


def _threads() -> set[threading.Thread]:
    # The event loop of a coroutine test ends its pool of threads itself, after these fixtures.
    running = (thread for thread in threading.enumerate() if not thread.name.startswith("asyncio_"))
    return set(running) - _motors_pool()


def _motors_pool() -> set[threading.Thread]:
    # motor keeps one pool for the whole process, whatever clients are closed.
    motor = sys.modules.get("motor.frameworks.asyncio")
    return set(motor._EXECUTOR._threads) if motor is not None else set()


def _environment() -> set[tuple[str, str]]:
    return {(name, value) for name, value in os.environ.items() if name != "PYTEST_CURRENT_TEST"}


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the built site of docs/."""
    out = tmp_path_factory.mktemp("site") / "out"
    made = build(DOCS, out)
    assert made.returncode == 0, made.stderr
    return out
