"""The site of docs/: it is built strictly, needs nothing from elsewhere, and a link that leads nowhere fails it."""

from __future__ import annotations

import os
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import pytest

import movie_stream
from docs.links import anchors
from tests.support.site import DOCS, ROOT, build

LOADING = {"script": "src", "img": "src", "iframe": "src", "source": "srcset", "link": "href"}
"""What a browser fetches by itself, by tag."""


class Loads(HTMLParser):
    """Collects what a page fetches and where it leads to."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.targets: list[str] = []
        self.feed(page.read_text("utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag in LOADING and (address := given.get(LOADING[tag])):
            self.fetched.append(address)
        if tag == "a" and (target := given.get("href")):
            self.targets.append(target)


def test_every_page_is_on_the_site_and_nothing_else(site: Path) -> None:
    """A page that is in no toctree fails the build."""
    pages = {path.relative_to(DOCS).with_suffix("") for path in DOCS.rglob("*.md")}
    made = {path.relative_to(site).with_suffix("") for path in site.rglob("*.html")}
    assert made == pages | {Path("search"), Path("genindex"), Path("py-modindex")}
    assert [path for path in site.rglob("*") if path.suffix in (".py", ".pyc", ".md")] == []


def test_nothing_is_fetched_from_elsewhere(site: Path) -> None:
    for page in site.rglob("*.html"):
        fetched = Loads(page).fetched
        assert [address for address in fetched if re.match(r"(\w+:)?//", address)] == [], page
        missing = [one for one in fetched if not (page.parent / one.partition("?")[0].partition("#")[0]).exists()]
        assert missing == [], page
    for style in site.rglob("*.css"):
        assert re.findall(r"(?:url\(|@import)\s*[\"']?(?:https?:)?//[^)\"']+", style.read_text("utf-8")) == [], style


def test_no_link_leads_out_of_the_folder(site: Path) -> None:
    for page in site.rglob("*.html"):
        paths = {one.partition("#")[0].partition("?")[0] for one in Loads(page).targets if "://" not in one}
        assert [
            one for one in paths if one and not one.startswith("mailto:") and not (page.parent / one).exists()
        ] == []


def test_pictures_are_shown_for_light_and_dark(site: Path) -> None:
    start = (site / "index.html").read_text("utf-8")
    for mode in ("light", "dark"):
        assert re.search(rf'<img[^>]*class="only-{mode}"[^>]*src="_images/dashboard-{mode}\.png"', start)


def test_the_python_api_has_all_that_the_package_offers(site: Path) -> None:
    page = (site / "reference" / "python-api.html").read_text("utf-8")
    assert [name for name in movie_stream.__all__ if f'id="movie_stream.{name}"' not in page] == []
    assert "The number of distinct users: exact up to 300" in page


def small(folder: Path, text: str) -> Path:
    """A site of one page, beside the configuration of ours. It has to lie in the repository, as links out of it do."""
    source = folder / "docs"
    shutil.copytree(DOCS / "static", source / "static")
    for name in ("conf.py", "search.js"):
        shutil.copy(DOCS / name, source)
    (source / "index.md").write_text(text, "utf-8")
    return source


def up_to_the_repository(source: Path) -> str:
    return os.path.relpath(ROOT, source)


WRONG = {
    "[x](nothing.md)": "'nothing.md'",
    "[x](#nothing-here)": "'nothing-here'",
    "[x]({root}/nothing.toml)": "/nothing.toml'",
    "[x]({root}/README.md#nothing)": "no heading of README.md has the anchor #nothing",
    "![x](nothing.png)": "image file not readable: nothing.png",
    "[x](/etc/passwd)": "'/etc/passwd'",
    "[x]({root}/..)": "/..'",
}
"""Links that lead nowhere, or out of the repository, and what is said of each."""


def test_links_that_lead_nowhere_fail_each(tmp_path: Path) -> None:
    source = small(tmp_path, "")
    lines = "\n\n".join(WRONG).replace("{root}", up_to_the_repository(source))
    (source / "index.md").write_text(f"# A page\n\n{lines}\n", "utf-8")
    made = build(source, tmp_path / "out")
    assert made.returncode != 0
    told = [line for line in made.stderr.splitlines() if "WARNING" in line]
    assert [link for link, wrong in WRONG.items() if sum(wrong in line for line in told) != 1] == [], made.stderr
    assert len(told) == len(WRONG)


@pytest.mark.parametrize(
    ("variables", "shown"),
    [
        ({}, "the rules</span> (<code"),
        (
            {"GITHUB_REPOSITORY": "ana/films", "GITHUB_REF_NAME": "v1.2.0"},
            'href="https://github.com/ana/films/blob/v1.2.0/examples/alerts.toml"',
        ),
    ],
)
def test_a_file_of_the_repository_is_linked_where_that_is_known(
    tmp_path: Path, variables: dict[str, str], shown: str
) -> None:
    source = small(tmp_path, "")
    root = up_to_the_repository(source)
    (source / "index.md").write_text(f"# A page\n\nSee [the rules]({root}/examples/alerts.toml).\n", "utf-8")
    made = build(source, tmp_path / "out", ROOT, **variables)
    assert made.returncode == 0, made.stderr
    page = (tmp_path / "out" / "index.html").read_text("utf-8")
    assert shown in page
    assert "examples/alerts.toml" in page


def test_a_file_of_the_repository_is_linked_where_the_site_lies_beside_it(tmp_path: Path) -> None:
    root = tmp_path / "checkout"
    shutil.copytree(DOCS, root / "docs", ignore=shutil.ignore_patterns("*.md", "__pycache__"))
    shutil.copytree(ROOT / "examples", root / "examples", ignore=shutil.ignore_patterns("__pycache__"))
    (root / "docs" / "how-to").mkdir(exist_ok=True)
    (root / "docs" / "index.md").write_text("# A page\n\n```{toctree}\nhow-to/b\n```\n\n[All](../examples)\n", "utf-8")
    (root / "docs" / "how-to" / "b.md").write_text("# B\n\n[The rules](../../examples/alerts.toml)\n", "utf-8")
    made = build(root / "docs", root / "site", root)
    assert made.returncode == 0, made.stderr
    for page, target in (("index.html", "../examples"), ("how-to/b.html", "../../examples/alerts.toml")):
        assert target in Loads(root / "site" / page).targets
        assert (root / "site" / page).parent.joinpath(target).exists()


def test_a_picture_element_becomes_two_pictures(tmp_path: Path) -> None:
    source = small(
        tmp_path,
        "# A page\n\n<picture>\n"
        '  <source media="(prefers-color-scheme: dark)" srcset="dark.svg">\n'
        '  <img src="light.svg" alt="A thing">\n</picture>\n',
    )
    for mode in ("light", "dark"):
        shutil.copy(DOCS / "images" / "demo.svg", source / f"{mode}.svg")
    made = build(source, tmp_path / "out")
    assert made.returncode == 0, made.stderr
    page = (tmp_path / "out" / "index.html").read_text("utf-8")
    assert re.findall(r'class="only-(\w+)" src="_images/(\w+)\.svg"', page) == [("light", "light"), ("dark", "dark")]


def test_anchors_are_those_of_github(tmp_path: Path) -> None:
    page = tmp_path / "a.md"
    page.write_text(
        "# A `b_c` & d\n\n```sh\n# no heading\n```\n\n## Twice\n\n## Twice\n\n## [Link](x.md), *so*\n", "utf-8"
    )
    assert anchors(page) == {"a-b_c--d", "twice", "twice-1", "link-so"}
