"""The guard: what may replace what, as a function and as MongoDB itself decides it."""

from __future__ import annotations

import random
from itertools import zip_longest
from typing import Any

import bson
import pytest
from bson.raw_bson import RawBSONDocument
from hypothesis import given
from hypothesis import strategies as st

from movie_stream.mongo import guard
from movie_stream.mongo.client import Database
from movie_stream.mongo.guard import Rev, compare, guarded, guarded_update

REVS = st.lists(st.integers(0, 3), max_size=4).map(tuple)
OPPOSITE = {"newer": "older", "older": "newer", "equal": "equal", "incomparable": "incomparable"}


@pytest.fixture
async def db(empty_db: Database) -> Database:
    return empty_db


@given(REVS, REVS)
def test_compare_is_a_partial_order(mine: Rev, theirs: Rev) -> None:
    assert compare(theirs, mine) == OPPOSITE[compare(mine, theirs)]
    assert compare(mine, mine) == "equal"
    larger = tuple(max(pair) for pair in zip_longest(mine, theirs, fillvalue=0))
    assert compare(larger, mine) in ("newer", "equal")


@given(REVS, REVS)
def test_a_missing_number_is_zero(mine: Rev, theirs: Rev) -> None:
    assert compare((*mine, 0, 0), theirs) == compare(mine, (*theirs, 0))


@given(REVS, REVS, REVS)
def test_newer_is_transitive(a: Rev, b: Rev, c: Rev) -> None:
    if compare(a, b) == "newer" and compare(b, c) == "newer":
        assert compare(a, c) == "newer"


async def updated(db: Database, *updates: bytes) -> None:
    await db.command({"update": "c", "updates": list(map(RawBSONDocument, updates))})


def test_a_stored_document_has_longs_and_the_guards_fields() -> None:
    document = guarded("c", "x", (1, 2), 3, {"title": "$genre", "a.b": {"$c": 1}})
    assert bson.decode(document.encoded) == {
        "_id": "x",
        "title": "$genre",
        "a.b": {"$c": 1},
        "_rev": [1, 2],
        "_run": 3,
    }
    assert b"\x12_run\x00" in document.encoded
    assert document.body == {"title": "$genre", "a.b": {"$c": 1}}


@given(st.lists(st.sampled_from([0, 0, 1, 18, 2**40]), max_size=13).map(tuple), st.sampled_from([1, 1_730_385_000_000]))
def test_an_update_has_its_own_numbers_and_document_whatever_these_hold(rev: Rev, run: int) -> None:
    body = {"title": "$literal\0", "$cond": {"$replaceWith": [1, 2]}, "views": len(rev)}
    document = guarded("c", "$cond", rev, run, body)
    is_newer = guard._is_newer(rev, run, [number > 0 for number in rev])
    literal = bson.decode(document.encoded)
    stage = {"$replaceWith": {"$cond": [is_newer, {"$literal": literal}, "$$ROOT"]}}
    assert bson.decode(guarded_update(document)) == {"q": {"_id": "$cond"}, "u": [stage], "upsert": True}


async def test_mongodb_decides_as_compare_does(db: Database) -> None:
    chance = random.Random(7)
    stored: dict[str, tuple[int, Rev, int]] = {}
    for version in range(8):
        updates = []
        for n in range(300):
            rev = tuple(chance.randint(0, 2) for _ in range(chance.randint(0, 4)))
            run = chance.choice([1, 1, 1, 2])
            updates.append(guarded_update(guarded("c", f"d{n}", rev, run, {"version": version})))
            old_run, old_rev, _ = stored.get(f"d{n}", (0, (), -1))
            if run > old_run or (run == old_run and compare(rev, old_rev) == "newer"):
                stored[f"d{n}"] = run, rev, version
        await updated(db, *updates)
        found = {
            d["_id"]: (d["_run"], tuple(d["_rev"]), d["version"])
            for d in await db["c"].find({"_run": {"$exists": True}}).to_list(None)
        }
        assert found == stored


@pytest.mark.parametrize("damage", [{"_rev": "7"}, {"_rev": None}, {"_run": None}, {}])
async def test_a_document_without_a_usable_guard_is_replaced(db: Database, damage: dict[str, Any]) -> None:
    await db["c"].insert_one({"_id": "x", "_rev": [], "_run": 1} | damage if damage else {"_id": "x"})
    await updated(db, guarded_update(guarded("c", "x", (1,), 1, {"good": True})))
    assert await db["c"].find_one() == {"_id": "x", "good": True, "_rev": [1], "_run": 1}


async def test_text_that_looks_like_an_expression_is_stored_as_it_is(db: Database) -> None:
    body = {"title": "$$ROOT", "$literal": {"$add": [1, "$x"]}, "a.b": "$_rev"}
    for rev in ((1,), (2,)):
        await updated(db, guarded_update(guarded("c", "$x", rev, 1, body)))
    assert await db["c"].find_one() == {"_id": "$x", **body, "_rev": [2], "_run": 1}
