"""The queries of Power BI and Excel, asked of the feed as Power Query folds them: columns and range in the request."""

from __future__ import annotations

import base64
import json
import re
import urllib.request
from typing import Any
from urllib.parse import urlencode

from pydantic import SecretStr

from bi import generate
from movie_stream.mongo.client import opened
from movie_stream.mongo.schema import ensure
from movie_stream.settings import Settings
from tests.services.test_compass import documents
from tests.support.stored import store
from tests.support.web.serving import serving
from tests.support.whole_path import PATIENCE_S

TOKEN = "a-token-of-a-test"
LOGIN = {"Authorization": f"Basic {base64.b64encode(f'powerbi:{TOKEN}'.encode()).decode()}"}


def answer(url: str) -> dict[str, Any]:
    with urllib.request.urlopen(urllib.request.Request(url, headers=LOGIN), timeout=PATIENCE_S) as response:
        found: dict[str, Any] = json.load(response)
        return found


async def test_every_table_loads(settings: Settings) -> None:
    wanted = documents()
    async with opened(settings) as db:
        await ensure(db)
        await store(db, wanted)
    loaded = {}
    with serving(settings.model_copy(update={"api_token": SecretStr(TOKEN)})) as server:
        feed = server.api.replace("/api/v1", "/odata/")
        for path in sorted((generate.HERE / "power-bi").glob("*.pq")):
            text = path.read_text()
            if (named := re.search(r'\[Name = "(\w+)"', text)) is None:
                continue
            [chosen] = re.findall(r"Table\.SelectColumns\(\w+, \{(.*?)\}\)", text)
            fields = re.findall(r'"(\w+)"', chosen)
            asked = {"$select": ",".join(fields)}
            if start := re.search(r"each \[(\w+)\] >= From", text):
                asked["$filter"] = f"{start[1]} ge 2000-01-01T00:00:00Z and {start[1]} lt 2100-01-01T00:00:00Z"
            rows, url = [], f"{feed}{named[1]}?{urlencode(asked)}"
            while url:
                page = answer(url)
                rows += page["value"]
                url = page.get("@odata.nextLink", "")
            named_in_rows = {name for row in rows for name in row if not name.startswith("@")}
            # Nothing was refused of what the documents are made of.
            assert named_in_rows == (set() if named[1] == "data_quality_flat" else set(fields)), path.name
            loaded[path.stem] = len(rows)
    assert loaded["movies_aggregates"] == len(wanted["movies_aggregates"])
    assert loaded["top_users_flat"] == sum(len(day["top_users"]) for day in wanted["top_users"].values())
    assert loaded["Genre"] == len(wanted["category_stats"])
    assert {name for name, rows in loaded.items() if not rows} == {"data_quality_flat"}
