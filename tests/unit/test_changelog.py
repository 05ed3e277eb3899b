"""The notes of a release, out of CHANGELOG.md."""

import subprocess
import sys

import pytest

from docs.changelog import CHANGELOG, notes

TEXT = """# Changelog

## [Unreleased]

## [0.2.0] - 2030-02-03

### Added

- More.

## [0.1.1]

- A fix.

## [0.1.0] - 2030-01-02
"""


def test_they_are_the_section_of_the_version() -> None:
    assert notes(TEXT, "0.2.0") == "### Added\n\n- More."


@pytest.mark.parametrize(
    ("version", "words"),
    [
        ("0.3.0", r"no section ## \[0.3.0\] .* \(there: Unreleased, 0.2.0, 0.1.1, 0.1.0\)"),
        ("0.1.1", r"needs a date: .* got '## \[0.1.1\]'"),
        ("0.1.0", "the section of 0.1.0 is empty"),
        ("", "expected a version such as 0.1.0 .* got ''"),
        ("v0.2.0", "got 'v0.2.0'"),
        ("Unreleased", "got 'Unreleased'"),
        ("0.2.0\n", "got"),
    ],
)
def test_nothing_is_released_without_them(version: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        notes(TEXT, version)


def test_ours_says_something_of_every_release() -> None:
    text = CHANGELOG.read_text(encoding="utf-8")
    headings = [line for line in text.splitlines() if line.startswith("## ")]
    assert headings[0] == "## [Unreleased]"
    for heading in headings[1:]:
        assert notes(text, heading[4 : heading.index("]")])


def test_the_command_reports_the_error_in_one_line() -> None:
    done = subprocess.run(
        [sys.executable, CHANGELOG.parent / "docs" / "changelog.py", "99.0.0"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: CHANGELOG.md: there is no section ## [99.0.0]")
    assert done.stderr.count("\n") == 1
