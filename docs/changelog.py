"""Prints what CHANGELOG.md says of a version, which the notes of its release begin with: `make notes VERSION=0.1.0`.

It needs nothing but Python, and fails where there is nothing to print, so that nothing is released without notes.
"""

import re
import sys
from pathlib import Path
from typing import Final

CHANGELOG: Final = Path(__file__).parents[1] / "CHANGELOG.md"
_VERSION: Final = re.compile(r"\d+\.\d+\.\d+(?:(?:a|b|rc)\d+)?")
_HEADING: Final = re.compile(r"^## \[(?P<version>[^\]]+)\](?P<date>.*)$", re.MULTILINE)
_DATE: Final = re.compile(r" - \d{4}-\d{2}-\d{2}")


def notes(text: str, version: str) -> str:
    """The section of a version, without its heading. Raises ValueError, which says what is wrong and what to do."""
    if not _VERSION.fullmatch(version):
        raise ValueError(f"expected a version such as 0.1.0 or 0.2.0rc1, got {version!r}; say VERSION=…")
    headings = list(_HEADING.finditer(text))
    ends = [*(heading.start() for heading in headings[1:]), len(text)]
    for heading, end in zip(headings, ends, strict=True):
        if heading["version"] != version:
            continue
        if not _DATE.fullmatch(heading["date"]):
            raise ValueError(f"its heading needs a date: ## [{version}] - YYYY-MM-DD, got {heading[0]!r}")
        section = text[heading.end() : end].strip()
        if not section:
            raise ValueError(f"the section of {version} is empty; say there what has changed")
        return section
    known = ", ".join(heading["version"] for heading in headings) or "none"
    raise ValueError(f"there is no section ## [{version}] - YYYY-MM-DD (there: {known}); write it before the tag")


def main(arguments: list[str]) -> int:
    """Prints them; the exit code is 1 where there are none."""
    try:
        print(notes(CHANGELOG.read_text(encoding="utf-8"), *arguments or [""]))  # noqa: T201
    except (ValueError, OSError) as error:
        print(f"error: {CHANGELOG.name}: {error}", file=sys.stderr)  # noqa: T201
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:2]))
