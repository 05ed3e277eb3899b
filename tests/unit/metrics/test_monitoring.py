"""The monitoring queries only existing metrics, gives remedies, and is tested; Prometheus itself parses it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from monitoring import dashboard, panels
from movie_stream.metrics.catalogue import METRICS
from tests.support.monitoring import (
    FOLDER,
    PROMETHEUS_OWN,
    RULES,
    alerts,
    declared,
    names_in,
    promtool,
    recorded,
    rules,
)


def test_metrics_are_named_by_the_rules() -> None:
    assert len({metric.name for metric in METRICS}) == len(METRICS) > 30
    for metric in METRICS:
        assert re.fullmatch(r"movie_stream(_[a-z]+)+", metric.name), metric.name
        assert (metric.kind == "counter") == metric.name.endswith("_total"), metric.name
        assert bool(metric.buckets) == (metric.kind == "histogram"), metric.name
        assert sorted(set(metric.buckets)) == list(metric.buckets), metric.name
        for unit in ("seconds", "bytes"):
            assert (metric.unit == unit) == metric.name.removesuffix("_total").endswith(f"_{unit}"), metric.name
        assert metric.meaning.endswith("."), metric.name


def test_only_declared_metrics_are_queried() -> None:
    known = declared() | recorded() | PROMETHEUS_OWN
    for expr in [*(rule["expr"] for rule in rules()), *panels.expressions()]:
        assert names_in(expr), expr
        assert names_in(expr) <= known, expr


def test_the_dashboard_shows_every_metric_and_is_current() -> None:
    assert dashboard.PATH.read_text("utf-8") == dashboard.made(), "make it anew with: make docs"
    asked = {name for expr in panels.expressions() for name in names_in(expr)}
    asked |= {name for rule in rules() if rule.get("record") in asked for name in names_in(rule["expr"])}
    shown = {re.sub(r"_bucket$", "", name) for name in asked}
    assert {metric.name for metric in METRICS} - shown == set()


def test_every_alert_says_what_to_do() -> None:
    for rule in alerts():
        assert set(rule["annotations"]) == {"summary", "description", "action", "runbook_url"}, rule["alert"]
        assert rule["annotations"]["runbook_url"] == f"docs/how-to/operate.md#{rule['alert'].lower()}"
        assert rule["labels"]["severity"] in ("critical", "warning")
    page = (FOLDER.parent / "docs" / "how-to" / "operate.md").read_text("utf-8")
    assert re.findall(r"^## (MovieStream\w+)$", page, re.MULTILINE) == [rule["alert"] for rule in alerts()]


def test_every_alert_is_tested_before_it_is_due_and_when_it_fires() -> None:
    tests: list[dict[str, Any]] = yaml.safe_load((FOLDER / "tests" / "alerts.yml").read_text("utf-8"))["tests"]
    asked = [(one["expr"], bool(one["exp_samples"])) for test in tests for one in test["promql_expr_test"]]
    for rule in alerts():
        expr = f'ALERTS{{alertname="{rule["alert"]}", alertstate="firing"}}'
        assert {fires for of, fires in asked if of == expr} == {False, True}, rule["alert"]
    names = {name for rule in rules() for name in (rule.get("record", ""),) if name}
    tested = {name for of, _ in asked for name in names_in(of)}
    in_alerts = {name for rule in alerts() for name in names_in(rule["expr"])}
    assert names - tested - in_alerts == set(), "recorded, and neither tested nor used by an alert that is"


def test_promtool_takes_the_configuration_and_the_rules() -> None:
    assert "SUCCESS" in promtool("check", "config", FOLDER / "prometheus.yml")
    assert promtool("check", "rules", *RULES).count("SUCCESS") == len(RULES)


def test_promtool_runs_the_tests_of_the_rules() -> None:
    assert "SUCCESS" in promtool("test", "rules", FOLDER / "tests" / "alerts.yml")


def test_every_expression_of_the_dashboard_parses(tmp_path: Path) -> None:
    exprs = [expr.replace("$__rate_interval", "1m") for expr in panels.expressions()]
    as_rules = [{"record": f"dashboard:{nth}", "expr": expr} for nth, expr in enumerate(exprs)]
    path = tmp_path / "dashboard.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": as_rules}]}), "utf-8")
    assert f"{len(exprs)} rules found" in promtool("check", "rules", path)
