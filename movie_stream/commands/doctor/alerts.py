"""Checks of `movie-stream doctor` on alerts: the rules, their evaluation and its progress, and undelivered messages."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from movie_stream.alerts.blockage import WITHOUT_RULES, without_rules
from movie_stream.alerts.rule_file import RuleFile, load
from movie_stream.alerts.sending import require_libraries
from movie_stream.commands.doctor.findings import Findings
from movie_stream.mongo import workers
from movie_stream.mongo.alerts import Progress, progress
from movie_stream.mongo.client import opened
from movie_stream.mongo.workers import WorkerReport
from movie_stream.settings import Settings

_LATE: Final = timedelta(minutes=15)
"""A message that waits for longer is a warning."""
_SAME_FILE: Final = "start all workers of the group with the same ALERTS_FILE"


async def check_alerts(settings: Settings, findings: Findings) -> None:
    """Checks alerts; without findings if neither ALERTS_FILE is set nor a worker evaluates rules.

    Raises the errors of the file.
    """
    async with opened(settings) as db:
        seen = [one for one in await workers.seen(db, settings.kafka_group) if not one.silent]
        reached = await progress(db)
    evaluating = [one for one in seen if one.status.rules not in (None, WITHOUT_RULES)]
    if settings.alerts_file is None:
        if evaluating or reached.holder is not None:
            findings.add("warn", "ALERTS_FILE is not set here, and other workers have rules", _SAME_FILE)
            _standing(findings, seen, reached)
        return
    file = load(settings)
    require_libraries(file.receivers)
    none = "" if file.rules else " (nothing is evaluated)"
    findings.add(
        "ok", f"{settings.alerts_file}: rules: {len(file.rules)}{none}, receivers: {', '.join(file.receivers)}"
    )
    _same_rules(findings, seen, file)
    _standing(findings, seen, reached)


def _same_rules(findings: Findings, seen: Sequence[WorkerReport], file: RuleFile) -> None:
    findings.check = "alerts' workers"
    without = [str(one) for one in without_rules(seen)]
    others = [str(one) for one in seen if one.status.rules and one.status.rules != file.fingerprint]
    if without:
        what = f"without ALERTS_FILE: {'; '.join(without)}: alerts wait for what they publish, or lack it"
        findings.add("warn", what, _SAME_FILE)
    if others:
        findings.add(
            "warn", f"with other rules than in the file: {'; '.join(others)}", f"{_SAME_FILE}, and restart them"
        )


def _standing(findings: Findings, seen: Sequence[WorkerReport], reached: Progress) -> None:
    """Checks who evaluates the rules, until when they are evaluated, and which messages wait."""
    findings.check = "evaluation"
    until = "no time yet" if reached.evaluated_until is None else f"{reached.evaluated_until:%Y-%m-%d %H:%M} UTC"
    if reached.holder is None:
        what = f"no worker evaluates the rules, which are evaluated until {until}"
        findings.add("warn" if seen else "ok", what, "start a worker with ALERTS_FILE" if seen else "")
    elif reached.blocked_on is not None and reached.blocked_since is not None:
        since = f"{reached.blocked_since:%Y-%m-%d %H:%M:%S} UTC"
        what = f"held up since {since}, evaluated until {until}: {reached.blocked_on}"
        findings.add("warn", what, f"see these partitions' workers; {_SAME_FILE}")
    else:
        host, pid, *_ = *reached.holder.rsplit("-", 2), "", ""
        findings.add("ok", f"{host}, process {pid}, evaluates; evaluated until {until}, by the time of the views")
    findings.check = "messages"
    age = timedelta() if reached.oldest is None else datetime.now(UTC) - reached.oldest
    waiting = f"messages about alerts that wait: {reached.undelivered:,}"
    if age > _LATE or reached.error:
        why = f"; {reached.failed} did not take one: {reached.error}" if reached.error else ""
        what = f"{waiting}, the oldest since {reached.oldest:%Y-%m-%d %H:%M} UTC{why}"
        findings.add("warn", what, "check whether its receiver answers; delivery is retried for retry_for")
    else:
        findings.add("ok", waiting)
    if reached.given_up:
        what = f"messages given up within a week: {reached.given_up:,}"
        findings.add("warn", what, "the log has each with its reason; the alerts are in MongoDB all the same")
