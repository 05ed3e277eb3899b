"""README.md as PyPI shows it, with whole addresses in place of relative links and pictures, which it does not have.

The repository's address stands nowhere in the code. A release says it by the variable MOVIE_STREAM_REPOSITORY, such as
https://github.com/OWNER/REPOSITORY; without it the text stays as it is, as for an image or an editable install. Hatch
runs this when it makes the package's metadata: `tool.hatch.metadata.hooks.custom` in pyproject.toml.
"""

import os
import re
from pathlib import Path
from typing import Any, Final

from hatchling.metadata.plugin.interface import MetadataHookInterface

VARIABLE: Final = "MOVIE_STREAM_REPOSITORY"
_ADDRESS: Final = re.compile(r"https://[\w.-]+(?:/[\w.-]+)+")
_RELEASE: Final = re.compile(r"\d+\.\d+\.\d+(?:(?:a|b|rc)\d+)?")
_PICTURE: Final = re.compile(r"(?P<before>!\[[^\]]*\]\(|(?:src|srcset)=\")(?P<path>(?![a-z]+:|#)[^)\"]+)")
_LINK: Final = re.compile(r"(?P<before>\]\()(?P<path>(?![a-z]+:|#)[^)]+)")


class LongDescription(MetadataHookInterface):
    """Sets `readme`, and `urls` where the repository's address is known."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Raises ValueError for an address that is none."""
        text = Path(self.root, "README.md").read_text(encoding="utf-8")
        if repository := os.environ.get(VARIABLE):
            text = with_addresses(text, repository, metadata["version"])
            metadata["urls"] = urls(repository)
        metadata["readme"] = {"content-type": "text/markdown", "text": text}


def with_addresses(text: str, repository: str, version: str) -> str:
    """The text with links and pictures at the tag of this version; those of anything but a release are at HEAD.

    Raises ValueError where the repository's address is none.
    """
    if not _ADDRESS.fullmatch(repository):
        raise ValueError(
            f"{VARIABLE}: expected an address such as https://github.com/OWNER/REPOSITORY, got {repository!r}"
        )
    at = f"v{version}" if _RELEASE.fullmatch(version) else "HEAD"
    text = _PICTURE.sub(rf"\g<before>{repository}/raw/{at}/\g<path>", text)
    return _LINK.sub(rf"\g<before>{repository}/blob/{at}/\g<path>", text)


def urls(repository: str) -> dict[str, str]:
    """What the package's page links at its side."""
    return {
        "Source": repository,
        "Documentation": f"{repository}/tree/HEAD/docs",
        "Changelog": f"{repository}/blob/HEAD/CHANGELOG.md",
        "Issues": f"{repository}/issues",
    }
