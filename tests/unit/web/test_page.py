"""The page's files: their size, their words, and that nothing in them needs another host or breaks the page's rules."""

import gzip
import hashlib
import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
STATIC = ROOT / "movie_stream" / "web" / "static"
VENDORED = [STATIC / "vendor" / "echarts", ROOT / "tests" / "data" / "axe"]
SCRIPTS = sorted((STATIC / "js").rglob("*.js"))
OURS = [STATIC / "index.html", *SCRIPTS, *sorted((STATIC / "css").glob("*.css"))]
LANGUAGES = sorted(path.stem for path in (STATIC / "i18n").iterdir())
MOST_COMPRESSED = 600_000
MOST_LINES = 300
# Composed in the scripts: t(`status.${name}`) and the like.
COMPOSED = re.compile(r"t\(`([^`$]*)\$\{[^}]*\}([^`]*)`")
NAMED = re.compile(r"""\bt\(\s*"([^"]+)"|data-i18n="([^"]+)"|"((?:empty|views|column|controls|error|login)\.\w+)\"""")
PLACEHOLDER = re.compile(r"\{(\w+)\}")


def _words(language: str) -> dict[str, str | dict[str, str]]:
    words: dict[str, str | dict[str, str]] = json.loads((STATIC / "i18n" / f"{language}.json").read_text("utf-8"))
    return words


def _forms(words: str | dict[str, str]) -> list[str]:
    return [words] if isinstance(words, str) else list(words.values())


def test_every_language_is_in_the_list_and_in_the_menu() -> None:
    listed = re.search(r"LANGUAGES = (\[.*\]);", (STATIC / "js" / "i18n.js").read_text("utf-8"))
    assert listed is not None
    assert sorted(json.loads(listed[1])) == LANGUAGES
    options = re.findall(r'<option value="(\w+)" lang="(\w+)">', (STATIC / "index.html").read_text("utf-8"))
    assert sorted(options) == [(language, language) for language in LANGUAGES]


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_language_has_the_keys_of_english_and_no_empty_word(language: str) -> None:
    words = _words(language)
    assert words.keys() == _words("en").keys()
    assert all(form.strip() for words in words.values() for form in _forms(words))


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_translation_has_the_placeholders_and_plurals_of_the_original(language: str) -> None:
    translated = _words(language)
    for key, words in _words("en").items():
        wanted = {name for form in _forms(words) for name in PLACEHOLDER.findall(form)}
        translation = translated[key]
        assert {name for form in _forms(translation) for name in PLACEHOLDER.findall(form)} == wanted, key
        assert isinstance(words, str) == isinstance(translation, str), key
        assert isinstance(translation, str) or "other" in translation, key


def test_every_text_that_the_page_uses_exists_and_none_is_unused() -> None:
    keys = set(_words("en"))
    text = "\n".join(path.read_text("utf-8") for path in OURS)
    named = {name for found in NAMED.finditer(text) for name in found.groups() if name}
    assert named <= keys
    composed = [re.compile(f"{re.escape(before)}.+{re.escape(after)}") for before, after in COMPOSED.findall(text)]
    assert [key for key in keys - named if not any(pattern.fullmatch(key) for pattern in composed)] == []


@pytest.mark.parametrize("folder", VENDORED, ids=lambda folder: folder.name)
def test_the_vendored_files_are_the_published_ones(folder: Path) -> None:
    lines = (folder / "SHA256SUMS").read_text().splitlines()
    listed = {name: digest for digest, name in map(str.split, lines)}
    there = {path.name for path in folder.iterdir()} - {"SHA256SUMS", "SOURCE"}
    assert listed.keys() == there
    assert "LICENSE" in there
    assert {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in there} == listed


def test_page_and_libraries_are_small() -> None:
    licences = ("LICENSE", "LICENSE-d3", "NOTICE", "SHA256SUMS", "SOURCE")
    files = [path for path in STATIC.rglob("*") if path.is_file() and path.name not in licences]
    assert sum(len(gzip.compress(path.read_bytes(), 9)) for path in files) < MOST_COMPRESSED


def test_files_are_short_enough_to_read() -> None:
    assert [path.name for path in OURS if len(path.read_text("utf-8").splitlines()) > MOST_LINES] == []


def test_the_page_has_no_script_or_style_in_it_and_reads_no_text_as_html() -> None:
    page = (STATIC / "index.html").read_text("utf-8")
    assert re.findall(r"<style|\sstyle=|\son\w+=|javascript:|<script(?![^>]*\ssrc=)", page) == []
    unsafe = re.compile(r"(inner|outer|insertAdjacent)HTML|document\.write|\beval\(|new Function|setAttribute\(\"style")
    assert [path.name for path in SCRIPTS if unsafe.search(path.read_text("utf-8"))] == []


def test_nothing_is_asked_of_another_host() -> None:
    for path in OURS:
        found = set(re.findall(r"https?://[^\s\"'`)]+", path.read_text("utf-8")))
        assert found <= {"http://www.w3.org/2000/svg"}, path.name


def test_the_page_names_its_icon_so_that_a_browser_asks_for_no_other() -> None:
    page = (STATIC / "index.html").read_text("utf-8")
    [(name, kind)] = re.findall(r'<link rel="icon" href="/static/([^"]+)" type="([^"]+)">', page)
    assert kind == "image/svg+xml"
    assert (STATIC / name).is_file()
    # Where a page is none of ours, such as the API's description, browsers ask for this one.
    assert (STATIC / "favicon.ico").read_bytes()[:4] == b"\0\0\1\0"


def test_every_script_is_imported_and_every_import_exists() -> None:
    imported = {STATIC / "js" / "main.js"}
    for path in SCRIPTS:
        for name in re.findall(r'from "([^"]+)"', path.read_text("utf-8")):
            assert (path.parent / name).is_file(), f"{path.name} imports {name}"
            imported.add((path.parent / name).resolve())
    assert set(SCRIPTS) == imported
