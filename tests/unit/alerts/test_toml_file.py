"""Files as people, their editors and their enemies leave them: each is read, or refused in one line that says where."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from movie_stream.alerts.keys import RulesRefused
from movie_stream.alerts.lines import statements
from movie_stream.alerts.toml_file import read_toml, toml_of

TEXT = "# Règles\n[a]\nb = 1\n"


@pytest.mark.parametrize(
    "content",
    [
        TEXT.encode(),
        TEXT.encode("utf-8-sig"),
        TEXT.replace("\n", "\r\n").encode("utf-8-sig"),
        TEXT.replace(" = ", "\t=\t").encode(),
    ],
)
def test_a_file_of_any_editor(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "a.toml"
    file.write_bytes(content)
    read = read_toml(file)
    assert (read.values, read.lines.of(("a", "b"))) == ({"a": {"b": 1}}, 3)


@pytest.mark.parametrize(
    ("content", "line", "words"),
    [
        (TEXT.encode("utf-16"), 1, "expected a TOML file in UTF-8, got UTF-16; save it as UTF-8"),
        ("a = 1\n".encode("utf-16-le"), 1, "got NUL characters, as UTF-16 has them; save it as UTF-8"),
        (
            "a = 1\nb = 'é'\n".encode("latin-1"),
            2,
            "got the byte 0xe9, which is none; save it as UTF-8 (is it Latin-1?)",
        ),
        (b"#" * (10 << 20), 1, "expected a readable TOML file: it has more than 262,144 bytes"),
        (b"a = " + b"[" * 100_000, 1, "expected at most 32 tables or lists in each other, got more"),
        (b"b = 1\na = " + b"[" * 300 + b"]" * 300, 2, "expected at most 32 tables or lists in each other, got more"),
        (b"b = 1\n" + b".".join([b"a"] * 50_000) + b" = 1", 2, "expected at most 32 tables or lists in each other"),
        (b"b = 1\n[" + b".".join([b"a"] * 50_000) + b"]", 2, "expected at most 32 tables or lists in each other"),
        (b"b = 1\na = {" + b" . ".join([b"'a'"] * 5_000) + b" = 1}", 2, "expected at most 32 tables or lists"),
        (b"b = 1\na = " + b"9" * 5_000, 2, "expected a number of less than 4,300 digits"),
        (b"a = 1\na = 2", 2, "no TOML: Cannot overwrite a value"),
        (b"a = 1979-13-45", 1, "no TOML: "),
        (b"a = '''\n", 2, "no TOML: "),
        (b"a = 1\rb = 2", 1, "no TOML: "),
    ],
)
def test_invalid_toml_is_refused_in_a_line(tmp_path: Path, content: bytes, line: int, words: str) -> None:
    file = tmp_path / "a.toml"
    file.write_bytes(content)
    with pytest.raises(RulesRefused) as refused:
        read_toml(file)
    [mistake] = refused.value.mistakes
    assert mistake.line == line, mistake
    assert words in mistake.words
    assert len(str(refused.value)) < 400


def test_a_missing_file_is_refused_in_a_line(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to("loop")
    cases = {"pipe": "no regular file", ".": "no regular file", "none": "No such file", "loop": "symbolic links"}
    for name, words in cases.items():
        with pytest.raises(RulesRefused, match=f"expected a readable TOML file: .*{words}"):
            read_toml(tmp_path / name)


def test_a_text_over_very_many_lines_takes_no_longer_than_its_length() -> None:
    """Each statement is read once, and not again with each of its lines."""
    text = 'a = """\n' + "x = [\n" * 20_000 + '"""\nb = [\n' + "1,\n" * 10_000 + "]\nc = 1\n"
    assert [line for line, _ in statements(text)] == [1, 20_003, 30_005]
    assert toml_of(text, "a").lines.of(("c",)) == 30_005


_SIMPLE = (
    *("1", "1.5", "true", "1979-05-27", '"[{#"', '"\\""', "'[\\'"),
    *('"""\n[x]\n""\\""" """', '"""a"""""', "'''\n\"\n'''''"),
)
_VALUES = st.recursive(
    st.sampled_from(_SIMPLE),
    lambda of: st.lists(of, max_size=3).map(lambda some: "[ # ]\n" + ",\n".join(some) + "\n]"),
)


@given(st.lists(_VALUES, max_size=6))
def test_statements_are_those_that_toml_knows(values: list[str]) -> None:
    keys = [f"# c\n\nk{i} = {value}" for i, value in enumerate(values)]
    text = "\n".join([*keys, '["a]".b]  # c', "x = { y = 1, z = [ 2 ] }"])
    found = [statement for _, statement in statements(text)]
    assert len(found) == len(values) + 2
    lines = text.split("\n")
    for line, statement in statements(text):
        assert tomllib.loads(statement)
        assert statement.split("\n")[0] == lines[line - 1]
