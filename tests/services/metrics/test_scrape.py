"""A real worker and a real server, scraped: every declared metric is there, and rules and dashboard find theirs."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from monitoring import panels
from movie_stream.embedded.launch import free_port
from movie_stream.metrics.catalogue import Process, exported_by
from movie_stream.mongo.runs import RUNS
from movie_stream.runs.progress import wait_until_counted
from movie_stream.settings import Settings
from tests.support.in_process import initialize
from tests.support.monitoring import FOLDER, PROMETHEUS_OWN, alerts, names_in, promtool, recorded, rules, series_of
from tests.support.web.serving import Serving, serving
from tests.support.whole_path import PATIENCE_S, database, started, succeed

TOKEN: Final = "a-token-of-our-own"
VIEWS: Final = 2_000


def page(url: str, token: str = "", method: str = "GET") -> str:
    """The answer, whatever its status."""
    request = urllib.request.Request(url, method=method, headers={"Authorization": f"Bearer {token}"} if token else {})
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return str(answer.read().decode())
    except urllib.error.HTTPError as error:
        with error:
            return error.read().decode()


def values(text: str) -> dict[tuple[str, ...], float]:
    """The samples of a scrape: the name, and the labels' values by their names."""
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


@dataclass(frozen=True)
class Deployment:
    """What runs, and where each gives its metrics."""

    settings: Settings
    worker: subprocess.Popen[bytes]
    worker_url: str
    server: Serving
    serve_url: str


@contextmanager
def deployed(settings: Settings, folder: Path) -> Iterator[Deployment]:
    """A worker that has counted some views, bad and late ones among them, and a server that was asked this and that."""
    ports = [str(free_port()), str(free_port())]
    urls = [f"http://127.0.0.1:{port}/metrics" for port in ports]
    rules = folder / "alerts.toml"
    rules.write_text('[[rule]]\nname = "busy"\nkind = "views"\nwindow = "1 h"\nabove = 1\n', "utf-8")
    initialize(settings)
    wrong = ("--late-fraction", "0.02", "--bad-fraction", "0.01")
    succeed(settings, "generate", "--to-topic", "--end", "now", "--days", "1", "-n", str(VIEWS), *wrong)
    with (
        started(settings, "worker", log=folder / "worker.log", METRICS_PORT=ports[0], ALERTS_FILE=str(rules)) as worker,
        serving(settings, METRICS_PORT=ports[1], API_TOKEN=TOKEN) as server,
    ):
        asyncio.run(asyncio.wait_for(wait_until_counted(settings), PATIENCE_S))
        until = "movie_stream_alerts_evaluated_until_seconds"
        eventually(lambda: until in {name for name, *_ in values(page(urls[0]))}, folder / "worker.log")
        asked = [("/", ""), ("/api/v1", TOKEN), ("/static/js/api.js", ""), ("/api/v1/none", TOKEN)]
        asked += [("/api/v1/category_stats", TOKEN), ("/api/v1/category_stats", "wrong")]
        for path, token in [*asked, *((f"/{nth}.php", "") for nth in range(20))]:
            page(server.address + path, token)
        yield Deployment(settings, worker, urls[0], server, urls[1])


def assert_all_there(text: str, process: Process) -> None:
    """Each metric that the process has, and no other of ours."""
    names = {name for name, *_ in values(text)}
    wanted = {name for metric in exported_by(process) for name in series_of(metric)}
    assert {name for name in names if name.startswith("movie_stream_")} == wanted
    assert names > {"process_cpu_seconds_total", "python_info", "python_gc_collections_total"}


@pytest.mark.long
@pytest.mark.timeout(180)
def test_every_metric_is_in_a_scrape_and_means_what_it_says(settings: Settings, tmp_path: Path) -> None:
    with deployed(settings, tmp_path) as of:
        worker, serve = page(of.worker_url), page(of.serve_url)
        assert_all_there(worker, "worker")
        assert_all_there(serve, "serve")
        told = values(worker)
        refused = told["movie_stream_refused_total", "bad"] + told["movie_stream_refused_total", "late"]
        assert told["movie_stream_events_total",] == VIEWS
        assert 0 < refused < VIEWS / 10
        assert sum(n for (name, *_), n in told.items() if name == "movie_stream_dead_letters_total") == refused
        for delay in ("movie_stream_delay_seconds", "movie_stream_event_delay_seconds"):
            assert told[f"{delay}_count",] == 3 * (VIEWS - refused), "in each of the three partitions documents change"
            assert told[f"{delay}_bucket", "+Inf"] == told[f"{delay}_count",]
        sums = [told[f"movie_stream_{of}_seconds_sum",] for of in ("delay", "event_delay")]
        assert 0 < sums[0] < sums[1], "the views are of a day, and came just now"
        assert told["movie_stream_mongodb_request_duration_seconds_count", "write"] > 0
        assert told["movie_stream_rebalances_total",] >= 1
        assert told["movie_stream_alerts_evaluating",] == 1
        assert told["movie_stream_alerts_workers_without_rules",] == told["movie_stream_alerts_failures_total",] == 0
        assert 0 < told["movie_stream_alerts_evaluated_until_seconds",] <= time.time()
        assert told["movie_stream_alerts_messages_total", "given up", "log"] == 0
        with database(settings) as db:
            number = db[RUNS].find_one()["number"]
        assert told["movie_stream_run_timestamp_seconds",] * 1_000 == number
        asked = values(serve)
        requests = {key[1:]: n for key, n in asked.items() if key[0] == "movie_stream_http_requests_total"}
        assert requests == {
            ("GET", "/", "200"): 1,
            ("GET", "/static/{name:path}", "200"): 1,
            ("GET", "/api/v1", "200"): 1,
            ("GET", "/api/v1/category_stats", "200"): 1,
            ("GET", "other", "401"): 1,
            ("GET", "other", "404"): 21,
        }
        assert asked["movie_stream_sign_ins_refused_total", "wrong"] == 1
        assert asked["movie_stream_mongodb_query_duration_seconds_count", "category_stats"] == 1
        assert asked["movie_stream_run_valid",] == 1
        with database(settings) as db:  # as a worker does that finds that the broker has lost records
            run = db[RUNS].find_one()
            lost = json.dumps({**json.loads(run["fingerprint"]), "log": "lost"})
            db[RUNS].update_one({"_id": run["_id"]}, {"$set": {"fingerprint": lost}})
        assert values(page(of.serve_url))["movie_stream_run_valid",] == 0
        for process, text in (("worker", worker), ("serve", serve)):
            assert_no_reserved_words(text, process)
            assert promtool("check", "metrics", text=text) == ""
        assert of.server.end() == 0


def assert_no_reserved_words(text: str, process: str) -> None:
    """No label or help text of ours says what it must not, such as the token or a MongoDB URI."""
    assert TOKEN not in text, process
    assert "mongodb://" not in text, process


def eventually(found: Callable[[], bool], log: Path) -> None:
    """Waits until it is so."""
    deadline_s = time.monotonic() + PATIENCE_S
    while not found():
        assert time.monotonic() < deadline_s, log.read_text()[-2000:]
        time.sleep(0.2)


@contextmanager
def prometheus(folder: Path, targets: dict[str, str]) -> Iterator[Callable[..., Any]]:
    """A real Prometheus with our configuration, but for the targets and the pace; how to ask its API."""
    program = shutil.which("prometheus")
    if program is None:
        pytest.skip("prometheus is not installed; on Debian: apt install prometheus")
    config = yaml.safe_load((FOLDER / "prometheus.yml").read_text("utf-8"))
    config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    config["rule_files"] = [str(FOLDER / "rules" / "*.yml")]
    for job in config["scrape_configs"]:
        job["static_configs"] = [{"targets": [targets.pop(job["job_name"])]}]
    assert not targets
    path, log, port = folder / "prometheus.yml", folder / "prometheus.log", free_port()
    path.write_text(yaml.safe_dump(config), "utf-8")
    words = [
        f"--config.file={path}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    with log.open("wb") as output:
        process = subprocess.Popen([program, *words], stdout=output, stderr=output, cwd=folder)

    def ask(what: str, **parameters: str) -> Any:
        text = page(f"http://127.0.0.1:{port}/api/v1/{what}?{urllib.parse.urlencode(parameters)}")
        answer = json.loads(text)
        assert answer["status"] == "success", answer
        return answer["data"]

    def ready() -> bool:
        try:
            return "Ready" in page(f"http://127.0.0.1:{port}/-/ready")
        except OSError:
            return False

    try:
        eventually(ready, log)
        yield ask
    finally:
        process.terminate()
        process.wait(30)


@pytest.mark.long
@pytest.mark.timeout(240)
def test_a_real_prometheus_scrapes_and_finds_what_rules_and_dashboard_ask(settings: Settings, tmp_path: Path) -> None:
    with deployed(settings, tmp_path) as of:
        places = [urllib.parse.urlsplit(url).netloc for url in (of.worker_url, of.serve_url)]
        targets = dict(zip(("movie-stream-worker", "movie-stream-serve"), places, strict=True))
        with prometheus(tmp_path, targets) as ask:

            def values_of(expr: str) -> list[Any]:
                return list(ask("query", query=expr)["result"])

            def names() -> set[str]:
                return set(ask("label/__name__/values"))

            log = tmp_path / "prometheus.log"
            eventually(lambda: values_of("sum(up)")[:1] != [] and values_of("sum(up)")[0]["value"][1] == "2", log)
            succeed(settings, "generate", "--to-topic", "--end", "now", "--days", "1", "-n", "500")
            page(f"{of.server.api}/category_stats", TOKEN)
            asked = {name for rule in rules() for name in names_in(rule["expr"])}
            asked |= {name for expr in panels.expressions() for name in names_in(expr)}
            assert asked > PROMETHEUS_OWN
            eventually(lambda: asked | recorded() <= names(), log)
            for expr in panels.expressions():
                eventually(lambda expr=expr: values_of(expr.replace("$__rate_interval", "5m")) != [], log)  # type: ignore[misc]
            groups = ask("rules")["groups"]
            assert all(rule["health"] == "ok" for group in groups for rule in group["rules"]), groups
            assert {rule["name"] for group in groups for rule in group["rules"]} >= {rule["alert"] for rule in alerts()}
            # The records that came before the first scrape are no rise: the rate is known with those that came since.
            eventually(lambda: values_of("job:movie_stream_events:rate5m > 0") != [], log)
            eventually(lambda: "MovieStreamNoEvents" not in str(ask("alerts")["alerts"]), log)
            pending = {alert["labels"]["alertname"] for alert in ask("alerts")["alerts"]}
            assert pending <= {"MovieStreamDeadLetters", "MovieStreamDelayHigh"}, "a backlog, and 3 % that are refused"
            of.worker.kill()
            eventually(
                lambda: (
                    {"MovieStreamNoWorker", "MovieStreamWorkerDown"}
                    <= {alert["labels"]["alertname"] for alert in ask("alerts")["alerts"]}
                ),
                log,
            )
            assert not re.findall(r"level=(?:error|warn)", log.read_text().replace("experimental", ""))
