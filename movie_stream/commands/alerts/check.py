"""`movie-stream alerts check`: validates the file of alert rules, and prints its rules."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from movie_stream.alerts.keys import RulesRefused
from movie_stream.alerts.rule_file import RuleFile, load
from movie_stream.alerts.sending import apprise_knows, require_libraries
from movie_stream.commands.alerts.in_words import rule_in_words
from movie_stream.masking import masked, printable
from movie_stream.settings import Settings


def check(settings: Settings, path: Path | None) -> int:
    """Prints the rules and returns exit code 0; or prints each mistake on a line of its own and returns exit code 2.

    Raises SettingMissing if no file is set, and AppriseMissing.
    """
    try:
        file = load(settings, path, apprise_knows if find_spec("apprise") else None)
    except RulesRefused as refused:
        for mistake in refused.mistakes:
            sys.stderr.write(f"{printable(refused.path)}:{mistake.line}: {printable(masked(mistake.words))}\n")
        many = len(refused.mistakes)
        mend = f"{many} mistakes; mend them" if many > 1 else "1 mistake; mend it"
        sys.stderr.write(f"error: {printable(refused.path)}: {mend} before a worker starts\n")
        return RulesRefused.exit_code
    require_libraries(file.receivers)
    tables = [_table(file)] if file.rules else []
    Console(width=80, highlight=False).print(*tables, _receivers(file), sep="\n")
    return 0


def _table(file: RuleFile) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold cyan")
    for heading in ("rule", "severity", "when", "to"):
        table.add_column(heading, overflow="fold")
    for rule in file.rules:
        table.add_row(*map(Text, (rule.name, rule.severity, rule_in_words(rule), ", ".join(rule.to))))
    return table


def _receivers(file: RuleFile) -> Text:
    many = len(file.rules)
    if not many:
        return Text("no rules, so that nothing is evaluated; [quality] counts for the page; all is right.", "green")
    return Text(f"{many} rule{'s' * (many > 1)}, receivers: {', '.join(file.receivers)}; all is right.", "green")
