"""From a view to a webhook with real processes, and what the commands say of it."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from movie_stream.commands.alerts.list import Choice, list_alerts
from movie_stream.commands.alerts.try_rule import try_rule
from movie_stream.errors import UsageError
from movie_stream.settings import Settings
from tests.support.alerts.stage import HOUR_MS, send, views
from tests.support.alerts.webhook_receiver import receiving
from tests.support.whole_path import PATIENCE_S, command, database, started, succeed

RULES = """\
[[rule]]
name = "busy"
kind = "views"
window = "1 h"
above = 5
to = ["webhook.ops"]

[webhook.ops]
url_env = "OPS_URL"
secret_env = "OPS_SECRET"
timeout = "2 s"
"""


@pytest.mark.timeout(240)
async def test_a_webhook_that_was_down_gets_its_message_after_a_restart(
    settings: Settings,
    tmp_path: Path,
    unused_tcp_port: int,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    file = tmp_path / "alerts.toml"
    file.write_text(RULES)
    ruled = settings.model_copy(update={"alerts_file": file})
    variables = {"OPS_URL": f"http://127.0.0.1:{unused_tcp_port}/hook", "OPS_SECRET": "hunter2hunter2"}
    now_ms = int(time.time() * 1_000)
    recent = views(random.Random(1), 6, 60, now_ms - now_ms % HOUR_MS - 7 * HOUR_MS)

    refused = await asyncio.to_thread(command, ruled, "worker", "--until-end")
    assert refused.returncode == 2
    assert "line 9: webhook.ops.url_env: OPS_URL is not set, nor OPS_URL_FILE" in refused.stderr
    await asyncio.to_thread(succeed, ruled, "init")
    await asyncio.to_thread(send, ruled, recent, ruled.kafka_partitions)
    await asyncio.to_thread(succeed, ruled, "worker", "--until-end", **variables)

    with database(ruled) as db:
        alerts = list(db["alerts"].find())
        waiting = list(db["_deliveries"].find({"done": None}))
        assert alerts
        assert {one["alert"] for one in waiting} == {alert["_id"] for alert in alerts}
        assert any("Connect call failed" in (one["error"] or "") for one in waiting)
        async with receiving(unused_tcp_port) as receiver:
            log = tmp_path / "log"
            with started(ruled, "worker", log=log, **variables) as worker:
                await asyncio.to_thread(until, lambda: not db["_deliveries"].count_documents({"done": None}))
                worker.terminate()
                assert await asyncio.to_thread(worker.wait, 30) == 0, log.read_text()[-3000:]
            told = [(one.json["alert"]["_id"], one.json["number"]) for one in receiver.received]
            assert sorted(set(told)) == sorted((one["alert"], one["number"]) for one in waiting)
            assert all("movie-stream-signature" in one.headers for one in receiver.received)
        assert "hunter2" not in log.read_text()

    await asyncio.to_thread(list_alerts, ruled, Choice(), json=True)
    assert capsys.readouterr().out.count('"rule":"busy"') == len(alerts)
    monkeypatch.setenv("COLUMNS", "80")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    await asyncio.to_thread(try_rule, ruled, "busy")
    tried = capsys.readouterr().out
    assert f"{len(alerts)} alerts, " in tried
    assert max(map(len, tried.splitlines())) <= 80


async def test_what_the_commands_refuse(settings: Settings, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "alerts.toml"
    file.write_text(RULES.replace("url_env", 'url = "http://x" #').replace("secret_env", "#"))
    for choice, words in (
        (Choice(limit=0), "--limit: expected a whole number from 1"),
        (Choice(only_open=True, withdrawn=True), "--withdrawn: expected only one of"),
        (Choice(severity="bad"), "--severity: expected one of info, warning, critical, got 'bad'"),
        (Choice(since="yesterday"), "--since: expected a time"),
        (Choice(since="1h", until="2h"), "--until: expected a time after --since 1h"),
    ):
        with pytest.raises(UsageError, match=words):
            list_alerts(settings, choice)
    with pytest.raises(UsageError, match="RULE: expected one of busy, got 'bus'"):
        try_rule(settings, "bus", file=file)
    with pytest.raises(UsageError, match="--until: expected a time after"):
        try_rule(settings, "busy", file=file, since="1h", until="2h")
    await asyncio.to_thread(list_alerts, settings, Choice())
    assert "rules; set ALERTS_FILE, and see: movie-stream alerts check" in capsys.readouterr().out
    ruled = settings.model_copy(update={"alerts_file": file})
    await asyncio.to_thread(list_alerts, ruled, Choice(severity="critical"))
    await asyncio.to_thread(try_rule, settings, "busy", file=file)
    out = capsys.readouterr().out
    assert "No such alert in" in out
    assert "rules; see: movie-stream alerts check" in out
    assert "There are no figures yet that this rule looks at." in out


async def test_a_test_message_says_that_it_is_one(
    settings: Settings, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "alerts.toml"
    async with receiving() as receiver:
        receiver.next = ["fails"]
        file.write_text(RULES.replace("url_env = ", f'url = "{receiver.url}" #').replace("secret_env", "#"))
        assert await asyncio.to_thread(try_rule, settings, "busy", file=file, deliver=True) == 1
        assert await asyncio.to_thread(try_rule, settings, "busy", file=file, deliver=True) == 0
        assert capsys.readouterr().out.splitlines() == ["webhook.ops: it answers 500", "webhook.ops: sent"]
        assert "this is a test" in receiver.received[-1].json["alert"]["text"]


def until(condition: Callable[[], bool]) -> None:
    """Waits for it, for a bounded time."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.1)


def test_check_says_each_mistake_in_a_line_of_its_own(settings: Settings, tmp_path: Path) -> None:
    file = tmp_path / "alerts.toml"
    file.write_text(RULES.replace("above = 5", "abov = 5").replace("2 s", "2 h"))
    checked = command(settings, "alerts", "check", str(file), OPS_URL="http://x", OPS_SECRET="s")
    assert checked.returncode == 2
    first, second, last = checked.stderr.splitlines()
    assert first.startswith(f"{file}:5: rule 1, abov: expected one of ")
    assert second.startswith(f"{file}:11: webhook.ops.timeout: expected a length of time")
    assert last == f"error: {file}: 2 mistakes; mend them before a worker starts"
    file.write_text(RULES)
    assert "1 rule, receivers: log, webhook.ops; all is right." in succeed(
        settings, "alerts", "check", str(file), OPS_URL="http://x", OPS_SECRET="s"
    )
    file.write_text("[quality]\nrecords_per_hour = 10\n")
    assert "no rules, so that nothing is evaluated" in succeed(settings, "alerts", "check", str(file))
    unset = command(settings, "alerts", "check")
    assert unset.returncode == 2
    assert "ALERTS_FILE is not set" in unset.stderr
