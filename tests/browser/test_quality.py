"""The panel of the data's quality: its lights say in words and shapes what their colours say."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from playwright.sync_api import expect

from movie_stream.mongo.client import opened
from movie_stream.mongo.schema import ensure
from movie_stream.settings import Settings
from tests.browser.conftest import DESKTOP, PHONE, Dashboard, apart
from tests.browser.test_access import AXE
from tests.support import reference
from tests.support.reference import HOUR_MS, Record
from tests.support.stored import store
from tests.support.web.serving import Serving, serving

pytestmark = pytest.mark.browser
NOON_MS: Final = 1_730_376_000_000  # 2024-10-31T12:00:00Z
RANGE: Final = {"since": "2024-10-31T00:00:00Z", "until": "2024-11-01T00:00:00Z"}


def _records(bad: int) -> list[Record]:
    """A hundred records over two hours, of which `bad` are bad."""
    views: list[dict[str, Any]] = [
        {**reference.A_VIEW, "timestamp": NOON_MS + HOUR_MS * (i % 2), "rating": 4 if i % 4 else None, "price": 1}
        for i in range(100 - bad)
    ]
    values = [*(json.dumps(view).encode() for view in views), *[b"rubbish"] * bad]
    return [(offset, NOON_MS + HOUR_MS + 90_000, value) for offset, value in enumerate(values)]


def _died() -> list[Record]:
    """One record, three hours before the others begin."""
    view = {**reference.A_VIEW, "timestamp": NOON_MS - 3 * HOUR_MS, "rating": 4, "price": 1}
    return [(0, NOON_MS - 3 * HOUR_MS, json.dumps(view).encode())]


async def _fill(settings: Settings, *more: list[Record]) -> None:
    documents = reference.expected([_records(0), _records(2), _records(9), *more]).documents
    async with opened(settings) as db:
        await ensure(db)
        await store(db, {name: documents[name] for name in ("data_quality", "movies_aggregates")})


@pytest.fixture
def served(settings: Settings) -> Iterator[Serving]:
    apart(_fill(settings))
    with serving(settings) as server:
        yield server


@pytest.fixture
def with_a_dead_one(settings: Settings, tmp_path: Path) -> Iterator[Serving]:
    """A fourth partition that died, which matters since records are expected."""
    apart(_fill(settings, _died()))
    file = tmp_path / "alerts.toml"
    file.write_text("[quality]\nrecords_per_hour = 1\n")
    with serving(settings.model_copy(update={"alerts_file": file})) as server:
        yield server


def test_a_partition_that_died_is_red_and_says_since_when(with_a_dead_one: Serving, dashboard: Dashboard) -> None:
    dashboard.open(with_a_dead_one.address, **RANGE)
    dashboard.shown(["quality"])
    page = dashboard.page
    expect(page.locator("#quality .lights li").nth(1)).to_have_text(
        "✕ Partition 3 Not as expected · 1 record · no records in 3 hours of 4 · last heard of 31 Oct 2024, 09:00 UTC"
        " · Complete 25% (at least 50% expected)",
        use_inner_text=True,
    )
    assert page.inner_text("#quality .sides section:first-child .note") == (
        "Hours count as over before 31 Oct 2024, 13:00 UTC, the newest hour of the whole stream."
    )
    lines = page.locator("#quality .lights li").all_inner_texts()
    assert [line.split("\n")[0] for line in lines] == ["✕", "✕", "!", "✓"], "the worst first"
    assert ["last heard" in line for line in lines] == [False, True, False, False]
    assert [row[5:8] for row in dashboard.rows("quality")][3:] == [
        ["100%", "0 / 1", "31 Oct 2024, 13:00"],
        ["25%", "3 / 4", "31 Oct 2024, 09:00"],
    ]
    dashboard.open(with_a_dead_one.address, since="2024-10-31T12:00:00Z", until="2024-11-01T00:00:00Z", lang="fr")
    dashboard.page.wait_for_selector(
        "#quality .lights li:has-text('Partition 3 Non conforme · 0 enregistrement · "
        "aucun enregistrement pendant 1 heure sur 1 · dernier signe 31 oct. 2024, 09:00 UTC')"
    )
    assert dashboard.complaints == []


def test_lights_are_words_and_shapes(served: Serving, dashboard: Dashboard) -> None:
    dashboard.open(served.address, **RANGE)
    dashboard.shown(["quality"])
    page = dashboard.page
    assert page.inner_text("#quality .verdict-line").split("\n") == ["✕", "Not as expected: Partition 2"]
    lines = page.locator("#quality .lights li").all_inner_texts()
    assert [line.split("\n")[0] for line in lines] == ["✕", "!", "✓"]
    assert "Partition 0 As expected · 100 records" in lines[2]
    assert "Partition 1 Worth a look · 100 records · Bad 2% (at most 1% expected)" in lines[1]
    assert "Partition 2 Not as expected · 100 records · Bad 9% (at most 5% expected)" in lines[0]
    assert page.locator("#quality .reasons li").all_inner_texts() == ["bad\n11"]
    facts = dict(
        zip(
            page.locator("#quality .facts dt").all_inner_texts(),
            page.locator("#quality .facts dd:not(.note)").all_inner_texts(),
            strict=True,
        )
    )
    assert (facts["Records"], facts["Bad"], facts["Late"]) == ("300", "!\n3.67%", "0%")
    assert (facts["Without duration"], facts["New genres"], facts["Retitled views"]) == ("100%", "3", "0")
    assert dashboard.complaints == []


def test_the_table_has_all_of_it(served: Serving, dashboard: Dashboard) -> None:
    dashboard.open(served.address, **RANGE)
    dashboard.shown(["quality"])
    rows = dashboard.rows("quality")
    assert [row[:5] for row in rows] == [
        ["Total", "Worth a look", "300", "3.67%", "0%"],
        ["0", "As expected", "100", "0%", "0%"],
        ["1", "Worth a look", "100", "2%", "0%"],
        ["2", "Not as expected", "100", "9%", "0%"],
    ]
    assert rows[1][5:] == ["–", "0 / 1", "31 Oct 2024, 13:00", "32 min", "62 min", "25%", "100%", "0%", "1", "0", "–"]
    assert rows[3][-1] == "bad (9)"


def test_an_empty_range_is_reported_in_either_language(served: Serving, dashboard: Dashboard) -> None:
    before = {"since": "2001-01-01T00:00:00Z", "until": "2001-01-02T00:00:00Z"}
    for language, words in (("en", "No records in this time range."), ("fr", "Aucun enregistrement dans cette")):
        dashboard.open(served.address, **before, lang=language)
        dashboard.shown(["quality"])
        assert words in dashboard.page.inner_text("#quality")
    dashboard.open(served.address, **RANGE, lang="fr")
    dashboard.page.wait_for_selector("#quality .verdict-line:has-text('Non conforme : Partition 2')")


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("size", [DESKTOP, (PHONE[0], 7_000)], ids=["desktop", "phone"])
def test_axe_finds_nothing_in_any_colour(
    with_a_dead_one: Serving, dashboard: Dashboard, theme: str, size: tuple[int, int]
) -> None:
    dashboard.resize(size)
    dashboard.open(with_a_dead_one.address, **RANGE, theme=theme)
    dashboard.shown(["quality"])
    dashboard.page.evaluate(AXE)
    for _ in range(2):
        found = dashboard.page.evaluate("axe.run('#quality', {resultTypes: ['violations']})")
        assert [(one["id"], [node["html"] for node in one["nodes"]]) for one in found["violations"]] == []
        dashboard.as_table("quality")
