"""The rules' file: its keys, and that every mistake is reported with its line."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from movie_stream.alerts.keys import RulesRefused
from movie_stream.alerts.lines import Lines
from movie_stream.alerts.receivers import Apprise, Log, Webhook
from movie_stream.alerts.rule_file import RuleFile, load, parsed
from movie_stream.alerts.rules import Beyond, BeyondUsual, Climbing, RatingFalling
from movie_stream.errors import SettingMissing
from movie_stream.settings import load_settings

GOOD = """\
# Every kind of rule, and every kind of receiver.
[[rule]]
name = "busy dramas"
kind = "views"
genre = " Film  Noir "
window = "5 min"
above = 1000
for = 2
severity = "critical"
to = ["log", "webhook.ops", "apprise.mail"]

[[rule]]
name = "unusual"
kind = "views"
genre = "each"
window = "1 h"
below_usual = 0.5
weeks = 6

[[rule]]
name = "worse"
kind = "rating_falling"
window = "1 d"
by = 0.5

[[rule]]
name = "trend"
kind = "climbing"
times = 3
over = 4

[[rule]]
name = "silent"
kind = "silence"
window = "15 min"
wait = "0 s"

[webhook.ops]
url = "https://ops.example.org/hook?token=1"
secret_env = "OPS_SECRET"
timeout = "5 s"

[apprise.mail]
urls = ["mailtos://ana:hunter2@example.org"]

[delivery]
deliver_within = "2 d"
"""
SECRETS = {"OPS_SECRET": "very-secret"}


def read(text: str, **environment: str) -> RuleFile:
    return parsed(text, "alerts.toml", environment)


def mistakes(text: str, **environment: str) -> list[tuple[int, str]]:
    with pytest.raises(RulesRefused) as refused:
        read(text, **environment)
    return [(mistake.line, mistake.words) for mistake in refused.value.mistakes]


def test_a_good_file() -> None:
    file = read(GOOD, **SECRETS)
    busy, unusual, worse, trend, silent = file.rules
    assert (busy.subject, busy.window_ms, busy.in_a_row) == ("film noir", 300_000, 2)
    assert busy.condition == Beyond("above", 1000.0)
    assert busy.line == 2
    assert unusual.condition == BeyondUsual("below", 0.5, weeks=6)
    assert worse.condition == RatingFalling(0.5)
    assert trend.condition == Climbing(3.0, 4)
    assert (silent.condition, silent.wait_ms) == (Beyond("below", 1.0), 0)
    log, ops, mail = file.receivers.values()
    assert isinstance(log, Log)
    assert isinstance(ops, Webhook)
    assert (ops.secret, ops.within_s) == ("very-secret", 5.0)
    assert isinstance(mail, Apprise)
    assert "hunter2" not in repr(file)
    assert "very-secret" not in repr(file)
    assert file.deliver_within_ms == 2 * 86_400_000


RULE = '[[rule]]\nname = "r"\nkind = "views"\nwindow = "1 h"\n'


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("", 1, "expected at least one table [[rule]], or [quality], got none"),
        ("rule = []\n[quality]\n", 1, "expected at least one table [[rule]], or [quality], got none"),
        ('[delivery]\ndeliver_within = "1 h"', 1, "expected at least one table [[rule]], or [quality], got none"),
        ("[[rule]]\nname = ", 2, "no TOML: Invalid value"),
        ('[[rule]\nname = "r"', 1, "no TOML"),
        (RULE + "above = 1\nabove = 2", 6, "no TOML: Cannot overwrite a value"),
        (RULE + "abvoe_usual = 2", 5, "abvoe_usual: expected one of"),
        (RULE + "abov_usual = 2", 5, "is above_usual meant?"),
        (RULE + 'above = "many"', 5, "rule 1, above: expected a number from 0, got 'many'"),
        (RULE + "above = true", 5, "expected a number from 0, got true"),
        (RULE + "above = nan", 5, "expected a number from 0, got nan"),
        (RULE + "above = inf", 5, "expected a number from 0, got inf"),
        (RULE + "above = -1", 5, "expected a number from 0, got -1"),
        (RULE + "below = 0", 5, "expected a number above 0, got 0"),
        (RULE + "above = 1\nbelow = 1", 1, "expected one of above, below, above_usual, below_usual, got above and"),
        (RULE, 1, "got none of them"),
        (RULE + "below_usual = 1.5", 5, "expected a number above 0, at most 1, got 1.5"),
        (RULE + "above = 1\nweeks = 3", 6, "weeks: expected above_usual or below_usual besides it"),
        (RULE + "above_usual = 2\nweeks = 2", 6, "min_weeks: expected at most weeks (2), got 3"),
        (RULE + "above_usual = 2\nmin_weeks = 9", 6, "min_weeks: expected at most weeks (4), got 9"),
        (RULE + "above = 1\nfor = 0", 6, "for: expected a whole number of windows in a row"),
        (RULE + 'above = 1\nto = ["webhook.ops"]', 6, "to.0: expected one of log, got 'webhook.ops'"),
        (RULE + "above = 1\nto = []", 6, "to: expected a list of receivers"),
        (RULE + 'above = 1\nto = [\n  "log",\n  "mail",\n]', 6, "got 'mail'"),
        (RULE + 'above = 1\ngenre = ""', 6, "genre: expected the name of a genre"),
        (RULE + 'above = 1\nwait = "90 s"', 6, "wait: expected a length of time from 0 s to 1 d in minutes"),
        (RULE + "above = 1\n" + RULE + "above = 2", 7, "expected a name of its own, got 'r', as in line 2"),
        (
            RULE.replace("1 h", "7 min") + "above = 1",
            4,
            "window: expected a length of time from 1 min to 1 d that divides a day",
        ),
        (RULE.replace("1 h", "30 s") + "above = 1", 4, "got '30 s'"),
        (RULE.replace("1 h", "2 d") + "above = 1", 4, "got '2 d'"),
        (RULE.replace("views", "view"), 3, "kind: expected one of views, rating_falling, climbing, silence, quality"),
        (RULE.replace('"r"', '"a|b"') + "above = 1", 2, "name: expected 1 to 64 letters (of any language)"),
        (RULE.replace('"r"', '" r"') + "above = 1", 2, "name: expected 1 to 64 letters"),
        (RULE.replace('"r"', '"a\u200bb"') + "above = 1", 2, "name: expected 1 to 64 letters"),
        (RULE.replace('"r"', '"' + "é" * 65 + '"') + "above = 1", 2, "name: expected 1 to 64 letters"),
        (
            RULE.replace('"r"', '"é"') + "above = 1\n" + RULE.replace('"r"', '"e\u0301"') + "above = 2",
            7,
            "expected a name of its own",
        ),
        ('[[rule]]\nkind = "silence"\nwindow = "1 h"', 1, "rule 1: expected name, which is 1 to 64 letters"),
        ('[rule]\nname = "r"', 1, "rule: expected tables [[rule]]"),
        ("rule = [3]", 1, "rule 1: expected a table, got 3"),
        (RULE + "above = 1\n[rules]\na = 1", 6, "rules: expected one of rule, webhook, apprise"),
        (RULE + "above = 1\n[webhook.ops]\nurl = 'ftp://x'", 7, "webhook.ops.url: expected an address"),
        (RULE + "above = 1\n[webhook.ops]\nurl = 'http://x:99999'", 7, "webhook.ops.url: expected an address"),
        (RULE + "above = 1\n[webhook.ops]", 6, "webhook.ops: expected either url or url_env, got nothing"),
        (RULE + "above = 1\n[webhook.ops]\nurl='http://x'\nsecret='s'", 8, "webhook.ops.secret: expected one of"),
        (RULE + "above = 1\n[webhook.ops]\nurl='http://x'\nsecret_env='NO'", 8, "NO is not set, nor NO_FILE"),
        (RULE + "above = 1\n[webhook.ops]\nurl='http://x'\ntimeout='0 s'", 8, "timeout: expected a length of time"),
        (RULE + "above = 1\n[webhook.'a b']\nurl='http://x'", 6, "expected a name of letters"),
        (RULE + "above = 1\nto=['webhook.ops']\n[webhook.ops]\nurl='x'", 8, "webhook.ops.url: expected an address"),
        (RULE + "above = 1\n[apprise.mail]\nurls=['nothing']", 7, "apprise.mail.urls: expected URLs of apprise"),
        (RULE + "above = 1\n[apprise]\nmail = 3", 7, "apprise.mail: expected a table, got 3"),
        (RULE + "above = 1\n[delivery]\ndeliver_within = 3", 7, "delivery.deliver_within: expected a length of time"),
    ],
)
def test_a_mistake_is_reported_with_its_line(text: str, line: int, words: str) -> None:
    [(at, said), *others] = mistakes(text)
    assert others == []
    assert at == line, said
    assert words in said


def test_all_mistakes_are_reported_together_in_their_order() -> None:
    text = GOOD.replace('"1 d"', '"1 w"').replace("times = 3", "times = 0").replace('"5 s"', '"5 h"')
    assert [line for line, _ in mistakes(text, **SECRETS)] == [23, 29, 41]
    with pytest.raises(RulesRefused, match=r"alerts.toml: 3 mistakes: line 23: .*; line 29: .*; line 41: "):
        read(text, **SECRETS)


def test_no_secret_is_shown() -> None:
    text = GOOD.replace("mailtos://", "mailtos").replace("https://ops", "hxxps://ops")
    said = str(mistakes(text, **SECRETS))
    assert "very-secret" not in said
    assert "hunter2" not in said


def test_secrets_by_file(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("from a file\n")
    ops = read(GOOD, OPS_SECRET_FILE=str(tmp_path / "secret")).receivers["webhook.ops"]
    assert isinstance(ops, Webhook)
    assert ops.secret == "from a file"
    [(line, words)] = mistakes(GOOD, OPS_SECRET_FILE=str(tmp_path / "none"))
    assert line == 40
    assert "OPS_SECRET_FILE: expected the path of a readable text file" in words


def test_the_file_itself(tmp_path: Path) -> None:
    with pytest.raises(SettingMissing, match="ALERTS_FILE is not set"):
        load(load_settings())
    for name, content in (("none", None), ("large", b"#" * 300_000)):
        path = tmp_path / name
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(RulesRefused, match="expected a readable TOML file"):
            load(load_settings(alerts_file=path))
    with pytest.raises(RulesRefused, match="no regular file"):
        load(load_settings(), tmp_path)
    (tmp_path / "good").write_bytes((RULE + "above = 1").replace("\n", "\r\n").encode())
    assert load(load_settings(), tmp_path / "good").rules[0].name == "r"


def test_a_variable_that_ends_with_file_is_a_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALERTS_FILE", str(tmp_path / "rules.toml"))
    assert load_settings().alerts_file == tmp_path / "rules.toml"
    assert load_settings().environment()["ALERTS_FILE"] == str(tmp_path / "rules.toml")


def test_lines_of_odd_but_good_toml() -> None:
    text = (
        'a.b = 1\n"c d" = """\n[x]\n"""\n\n[x.y]\nz = { q = 1, r = [\n 2 ] }\n[[l]]\n[[l.m]]\nn = 1\n[[l.m]]\nn = 2\n'
    )
    lines = Lines(text)
    paths = [("a", "b"), ("c d",), ("x", "y"), ("x", "y", "z", "q"), ("l", 0), ("l", 0, "m", 1, "n"), ("no",)]
    assert [lines.of(path) for path in paths] == [1, 2, 6, 7, 9, 13, 1]


@given(st.data())
def test_whatever_is_changed_is_a_good_file_or_refused_in_one_line(data: st.DataObject) -> None:
    lines = GOOD.split("\n")
    at = data.draw(st.integers(0, len(lines) - 1))
    change = data.draw(st.sampled_from(["drop", "double", "value", "cut"]))
    value = data.draw(
        st.sampled_from(["1", "-1", "0", '""', "[]", "{}", "nan", "true", "1979-05-27", '"each"', '["log"]'])
    )
    key = lines[at].partition("=")[0]
    lines[at : at + 1] = {
        "drop": [],
        "double": [lines[at]] * 2,
        "value": [f"{key}= {value}"],
        "cut": [lines[at][: len(lines[at]) // 2]],
    }[change]
    refused = None
    try:
        read("\n".join(lines), **SECRETS)
    except RulesRefused as error:
        refused = error
    if refused is not None:
        assert "\n" not in str(refused)
        assert all(1 <= mistake.line <= len(lines) for mistake in refused.mistakes)


@pytest.mark.parametrize(
    "name", ["fällt aus", "Séries d'été".replace("'", " "), "電影 2", "фильмы", "हिन्दी", "a.b_c-d"]
)
def test_names_have_letters_of_any_language(name: str) -> None:
    assert read(RULE.replace('"r"', f'"{name}"') + "above = 1").rules[0].name == name


def test_a_light_hides_no_figure_that_there_is_not() -> None:
    rule = '[[rule]]\nname = "q"\nkind = "quality"\nlight = "red"\nfield = "badd"\n'
    (line, first), (other, second) = mistakes(rule)
    assert (line, other) == (5, 5)
    assert "field: expected one of records, " in first
    assert second == "rule 1: expected light or field, got both"


def test_a_file_with_the_quality_alone_has_no_rules() -> None:
    file = read("[quality]\nrecords_per_hour = 10\n")
    assert file.rules == ()
    assert file.quality.records_per_hour == 10
    assert file.fingerprint, "which tells it from none"
    assert mistakes("[quality]\nrecord_per_hour = 10\n")[0][0] == 2


def test_other_expectations_are_another_rule() -> None:
    """Where a light is looked at; not where a figure is."""
    rule = '[[rule]]\nname = "q"\nkind = "quality"\n'
    light, figure = f'{rule}light = "red"\n', f'{rule}field = "bad"\nabove = 1\n'
    strict = "[quality]\nbad = [0.0, 0.0]\n"
    assert read(light).rules[0].definition != read(light + strict).rules[0].definition
    assert read(light).rules[0].definition == read(light + "[quality]\n").rules[0].definition
    assert read(figure).rules[0].definition == read(figure + strict).rules[0].definition


def test_a_receiver_with_a_mistake_hides_no_other_that_is_named_alike() -> None:
    rule = '[[rule]]\nname = "q"\nkind = "silence"\nwindow = "1 h"\nto = ["webhook.op", "webhook.ops"]\n'
    text = f"{rule}[webhook.ops]\na = 1\n"
    found = [words for line, words in mistakes(text) if line == 5]
    assert len(found) == 1
    assert "'webhook.op'" in found[0]


def test_mistakes_of_all_tables_and_of_conflicting_keys_are_reported_in_one_run() -> None:
    text = """\
[[rule]]
name = "r"
kind = "views"
window = "7 min"
above = "many"
below = 3
severity = "loud"

[[rule]]
name = "r"
kind = "vews"
to = ["mail"]

[[rule]]
name = "q"
kind = "quality"
field = 3
light = "red"

[webhook.ops]
url = 3
url_env = "OPS_URL"
timeout = "1 h"

[quality]
bad = [2, 1]

[delivery]
deliver_within = 3
"""
    found = mistakes(text)
    assert [line for line, _ in found] == [1, 4, 5, 7, 10, 11, 12, 17, 17, 20, 21, 22, 23, 26, 29], found
    assert "expected one of above, below, above_usual, below_usual, got above and below" in found[0][1]
    assert "OPS_URL is not set" in found[11][1]


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("quality = 3", 1, "quality: expected a table, got 3"),
        ("webhook = 3", 1, "webhook: expected tables such as [webhook.ops], got a number"),
        ("apprise = []", 1, "apprise: expected tables such as [apprise.ops], got another list"),
        ("delivery = true", 1, "delivery: expected a table, got true"),
    ],
)
def test_a_wrong_type_is_reported_once(text: str, line: int, words: str) -> None:
    assert mistakes(f"{text}\n{RULE}above = 1") == [(line, words)]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (RULE + "abov = 1", 5),
        (RULE.replace("name", "nme") + "above = 1", 2),
        ("[[rules]]\nname = 1", 1),
        (RULE + "above = 1\n[webhook.ops]\nulr = 'http://x'", 7),
    ],
)
def test_a_key_that_is_written_wrongly_is_not_missed_as_well(text: str, line: int) -> None:
    [(at, words)] = mistakes(text)
    assert at == line
    assert " meant?" in words


def test_a_table_with_as_many_rules_as_nobody_writes() -> None:
    rules = "".join(f'[[rule]]\nname = "{i}"\nkind = "silence"\nwindow = "1 h"\n' for i in range(1_001))
    assert mistakes(rules) == [(4_001, "expected at most 1,000 tables [[rule]], got 1,001")]


@pytest.mark.parametrize(
    ("table", "line"),
    [
        ('[webhook.ops]\nurl = "hooks.example.org/T0/hunter2"', 7),
        ('[webhook.ops]\nurl_env = "https://example.org/hunter2"', 7),
        ('[apprise.ops]\nurls = "tgram://hunter2/3"', 7),
        ('[apprise.ops]\nurls = ["hunter2"]', 7),
        ('[apprise.ops]\nurls = ["odd://hunter2"]', 7),
        ('[apprise.ops]\nurls = ["http://[hunter2"]', 7),
        ('[[rule]]\nname = "s"\nkind = "silence"\nwindow = "1 h"\nto = ["https://example.org/hunter2"]', 10),
    ],
)
def test_an_unusable_address_is_reported_without_showing_it(table: str, line: int) -> None:
    with pytest.raises(RulesRefused) as refused:
        parsed(f"{RULE}above = 1\n{table}", "alerts.toml", {}, knows=lambda url: url.startswith("json://"))
    [mistake] = refused.value.mistakes
    assert mistake.line == line
    assert "hunter2" not in str(refused.value)


def test_which_url_apprise_cannot_send_to() -> None:
    text = f'{RULE}above = 1\n[apprise.a]\nurls_env = "A"\n[apprise.b]\nurls = [\n"json://x",\n"mailtoz://y",\n]'
    with pytest.raises(RulesRefused) as refused:
        parsed(text, "alerts.toml", {"A": "json://a oddly://b"}, knows=lambda url: url.startswith("json://"))
    assert [(mistake.line, mistake.words.partition("got ")[2]) for mistake in refused.value.mistakes] == [
        (7, "one that it cannot send to, number 2, which begins with oddly://"),
        (9, "one that it cannot send to, number 2, which begins with mailtoz://"),
    ]


def test_a_name_with_the_end_of_a_line_in_it_makes_no_second_line() -> None:
    [(_, words)] = mistakes(f'{RULE}above = 1\n[webhook."a\\nb"]\nurl = "http://x"')
    assert "\n" not in words


def test_another_severity_is_another_definition() -> None:
    """So that the alerts that are open get it."""
    text = f"{RULE}above = 1\n"
    assert read(text).rules[0].definition != read(f'{text}severity = "critical"').rules[0].definition
    assert read(text).rules[0].definition == read(f'{text}to = ["log"]').rules[0].definition
