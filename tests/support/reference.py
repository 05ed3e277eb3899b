"""The naive reference: the contract's text as plain Python, event by event, sharing no code with
movie_stream.

>>> outcome = expected([views({"rating": 4.5}, {"rating": 3})])
>>> outcome.documents["hourly_metrics"]["hourly_2024-10-31T14:00:00Z"]["avg_rating"]
3.75
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any, NamedTuple, NoReturn
from zoneinfo import ZoneInfo

MINUTE_MS = 60_000
HOUR_MS = 3_600_000
DAY_MS = 86_400_000
YEAR_9999_MS = 253_402_214_400_000
"""9999-12-31T00:00:00Z."""
MICRO = 1_000_000
DEEPEST = 200
TOP = 10
TOP_OF_DAY = TOP_OF_ALL_TIME = 100
EXACT_UP_TO = 300

Record = tuple[int, int | None, bytes | None]
"""Offset, the Kafka record's own timestamp in Unix milliseconds (None or -1: it has none), value."""
Document = dict[str, Any]
Documents = dict[str, dict[str, Document]]
"""Collection to `_id` to document."""

SKETCHES = {
    ("movies_aggregates", "unique_users"): 0.017,
    ("category_stats", "unique_users"): 0.009,
    ("category_stats", "unique_movies"): 0.009,
    ("hourly_metrics", "unique_users"): 0.009,
    ("daily_stats", "unique_users"): 0.009,
    ("data_quality", "unique_movies"): 0.009,
}
"""The figures that are estimated above 300, with their relative standard error."""
STANDARD_ERRORS = 5


@dataclass(frozen=True)
class Rules:
    """The settings that change figures."""

    allowed_lateness_ms: int = 24 * HOUR_MS
    future_tolerance_ms: int = HOUR_MS
    session_gap_ms: int = 30 * MINUTE_MS
    timezone: str = "UTC"
    revenue_per_view: float = 0.0


DEFAULT_RULES = Rules()


class Outcome(NamedTuple):
    """All that the log amounts to."""

    documents: Documents
    dead_letters: set[tuple[int, int, str]]
    """(partition, offset, kind): "bad" or "late"; of a copy of a refused record also "counted" or "again"."""


@dataclass(frozen=True)
class View:
    """A record that keeps every rule of the contract."""

    movie_id: str
    title: str
    genre: str
    """Trimmed, each inner run of white space one space."""
    user_id: str
    timestamp_ms: int
    rating_micro: int | None
    duration_min: int | None
    price_micro: int | None

    @property
    def slug(self) -> str:
        return self.genre.lower()


def expected(
    partitions: Sequence[Iterable[Record]],
    rules: Rules = DEFAULT_RULES,
    copies: Mapping[tuple[int, int], int] = MappingProxyType({}),
) -> Outcome:
    """What must be in MongoDB and in the dead letters once all records of all partitions are through.

    `copies` names of each copy of a refused record, by partition and offset, the offset of its original.
    """
    verdicts = verdicts_of(partitions, rules, copies)
    applied, dead_letters = told_apart(verdicts)
    documents = documents_of(applied, rules)
    return Outcome({**documents, "data_quality": data_quality(verdicts)}, dead_letters)


class Verdict(NamedTuple):
    """What became of a record."""

    partition: int
    offset: int
    record_time_ms: int | None
    view: View | None
    """None if it does not count."""
    kind: str
    """Of dead letters, see Outcome; empty for a view that is no copy."""


def verdicts_of(
    partitions: Sequence[Iterable[Record]],
    rules: Rules = DEFAULT_RULES,
    copies: Mapping[tuple[int, int], int] = MappingProxyType({}),
) -> list[Verdict]:
    """What became of each record, in the order of the partitions' logs."""
    verdicts = []
    for partition, records in enumerate(partitions):
        watermark = None
        counts: set[int] = set()  # offsets of originals that count, by themselves or by a copy
        refused: set[int] = set()
        first = None
        for offset, record_time_ms, value in records:
            first = offset if first is None else first
            original = copies.get((partition, offset))
            if original is not None and (original in counts or (original >= first and original not in refused)):
                verdicts.append(Verdict(partition, offset, record_time_ms, None, "again"))
                continue
            view, wrong = judged(value, record_time_ms, watermark, rules)
            if view is None:
                verdicts.append(Verdict(partition, offset, record_time_ms, None, wrong))
                if original is None:
                    refused.add(offset)
                continue
            counts.add(offset if original is None else original)
            kind = "" if original is None else "counted"
            verdicts.append(Verdict(partition, offset, record_time_ms, view, kind))
            if watermark is None or view.timestamp_ms > watermark:
                watermark = view.timestamp_ms
    return verdicts


def told_apart(verdicts: Iterable[Verdict]) -> tuple[list[View], set[tuple[int, int, str]]]:
    """The views that count; and of the other records, and of copies, partition, offset and kind."""
    verdicts = list(verdicts)
    applied = [verdict.view for verdict in verdicts if verdict.view is not None]
    return applied, {(verdict.partition, verdict.offset, verdict.kind) for verdict in verdicts if verdict.kind}


def judged(
    value: bytes | None, record_time_ms: int | None, watermark: int | None, rules: Rules
) -> tuple[View | None, str]:
    """The view, or None and why not."""
    try:
        view = parse(value)
    except BadRecord:
        return None, "bad"
    has_time = record_time_ms is not None and record_time_ms >= 0
    if has_time and view.timestamp_ms - (record_time_ms or 0) > rules.future_tolerance_ms:
        return None, "bad"
    if watermark is not None and view.timestamp_ms < watermark - rules.allowed_lateness_ms:
        return None, "late"
    return view, ""


# ---- section 2: the event --------------------------------------------------------------------------------


class BadRecord(Exception):
    """A rule of the event contract is broken."""


class Number(NamedTuple):
    """A number as it was written."""

    text: str
    whole: bool
    """Without fraction and exponent."""


def parse(value: bytes | None) -> View:
    """The view that a record's value is. Raises BadRecord."""
    if value is None:
        raise BadRecord("no value")
    try:
        text = value.decode("utf-8")
        event = json.loads(
            text,
            parse_int=lambda text: Number(text, True),
            parse_float=lambda text: Number(text, False),
            parse_constant=refuse,
        )
    except (ValueError, RecursionError) as error:  # UnicodeDecodeError and JSONDecodeError are ValueErrors
        raise BadRecord("not JSON") from error
    if not isinstance(event, dict):
        raise BadRecord("not an object")
    if deepest(text) > DEEPEST:
        raise BadRecord("nested too deep")
    genre = string(event, "genre").strip()
    if not 1 <= len(genre) <= 64:
        raise BadRecord("genre")
    timestamp_ms = whole_number(event, "timestamp", 1, YEAR_9999_MS - 1)
    if timestamp_ms is None:
        raise BadRecord("timestamp")
    return View(
        movie_id=string(event, "movie_id", longest=128),
        title=string(event, "title", longest=512),
        genre=" ".join(genre.split()),
        user_id=string(event, "user_id", longest=128),
        timestamp_ms=timestamp_ms,
        rating_micro=millionths(event, "rating", 5),
        duration_min=whole_number(event, "duration", 0, 1440),
        price_micro=millionths(event, "price", 1_000_000_000),
    )


def refuse(constant: str) -> NoReturn:
    """NaN, Infinity and -Infinity are not JSON."""
    raise BadRecord(constant)


def deepest(text: str) -> int:
    """How deep the objects and lists of this JSON are nested."""
    depth = found = 0
    in_string = escaped = False
    for char in text:
        if in_string:
            in_string, escaped = escaped or char != '"', char == "\\" and not escaped
        elif char in "[{":
            depth += 1
            found = max(found, depth)
        elif char in "]}":
            depth -= 1
        else:
            in_string = char == '"'
    return found


def string(event: Mapping[str, object], field: str, longest: int | None = None) -> str:
    value = event.get(field)
    if not isinstance(value, str):
        raise BadRecord(field)
    if longest is not None and not 1 <= len(value) <= longest:
        raise BadRecord(field)
    if any(0xD800 <= ord(char) <= 0xDFFF for char in value):
        raise BadRecord("a lone surrogate")
    return value


def whole_number(event: Mapping[str, object], field: str, smallest: int, largest: int) -> int | None:
    value = event.get(field)
    if value is None:
        return None
    if not isinstance(value, Number) or not value.whole or len(value.text) > 20:
        raise BadRecord(field)
    number = int(value.text)
    if not smallest <= number <= largest:
        raise BadRecord(field)
    return number


def millionths(event: Mapping[str, object], field: str, largest: int) -> int | None:
    value = event.get(field)
    if value is None:
        return None
    if not isinstance(value, Number):
        raise BadRecord(field)
    number = float(value.text)
    if not 0 <= number <= largest:
        raise BadRecord(field)
    return round(number * 1e6)  # half to even


# ---- section 3: the results ------------------------------------------------------------------------------


def documents_of(applied: Sequence[View], rules: Rules) -> Documents:
    """The documents of all collections that are made of views alone."""
    return {
        "movies_aggregates": movies_aggregates(applied),
        "top_movies": top_movies(applied),
        "top_movies_daily": top_movies_daily(applied),
        "top_movies_all_time": top_movies_all_time(applied),
        "category_stats": category_stats(applied, rules),
        "active_users": active_users(applied, rules),
        "hourly_metrics": hourly_metrics(applied, rules),
        "daily_stats": daily_stats(applied, rules),
        "top_users": top_users(applied),
    }


def movies_aggregates(applied: Sequence[View]) -> dict[str, Document]:
    documents = {}
    for (slug, start), group in grouped(applied, lambda v: (v.slug, v.timestamp_ms // MINUTE_MS * MINUTE_MS)):
        ratings = ratings_of(group)
        documents[f"{slug}_{second(start)}"] = {
            "genre": min(view.genre for view in group),
            "slug": slug,
            "window_start": date(start),
            "window_end": date(start + MINUTE_MS),
            "total_views": len(group),
            "unique_users": len({view.user_id for view in group}),
            "rated_views": len(ratings),
            "avg_rating": mean(ratings),
            "max_rating": max(ratings) / MICRO if ratings else None,
            "min_rating": min(ratings) / MICRO if ratings else None,
            "total_duration": minutes_of(group),
        }
    return with_ids(documents)


def top_movies(applied: Sequence[View]) -> dict[str, Document]:
    documents = {}
    for start, in_hour in grouped(applied, lambda v: v.timestamp_ms // HOUR_MS * HOUR_MS):
        documents[f"top_movies_{second(start)}"] = {"timestamp": date(start), "top_movies": films_of(in_hour)[:TOP]}
    return with_ids(documents)


def top_movies_daily(applied: Sequence[View]) -> dict[str, Document]:
    documents = {}
    for start, on_day in grouped(applied, lambda v: day_of(v.timestamp_ms)):
        documents[f"top_movies_{day(start)}"] = {
            "date": day(start),
            "timestamp": date(start),
            "top_movies": films_of(on_day)[:TOP_OF_DAY],
        }
    return with_ids(documents)


def top_movies_all_time(applied: Sequence[View]) -> dict[str, Document]:
    if not applied:
        return {}
    newest = date(max(view.timestamp_ms for view in applied))
    return with_ids({"top_movies_all_time": {"timestamp": newest, "top_movies": films_of(applied)[:TOP_OF_ALL_TIME]}})


def films_of(window: Iterable[View]) -> list[Document]:
    """Most views first."""
    films: list[Document] = []
    for movie_id, group in grouped(window, lambda v: v.movie_id):
        newest = max(view.timestamp_ms for view in group)
        films.append(
            {
                "movie_id": movie_id,
                "title": min(view.title for view in group if view.timestamp_ms == newest),
                "genre": min(view.genre for view in group if view.timestamp_ms == newest),
                "views": len(group),
                "rated_views": len(ratings_of(group)),
                "avg_rating": mean(ratings_of(group)),
            }
        )
    return sorted(films, key=lambda film: (-film["views"], film["movie_id"]))


def category_stats(applied: Sequence[View], rules: Rules) -> dict[str, Document]:
    documents = {}
    zone = ZoneInfo(rules.timezone)
    for slug, group in grouped(applied, lambda v: v.slug):
        hours = Counter(date(view.timestamp_ms).astimezone(zone).hour for view in group)
        peak_hour = min(hours, key=lambda hour: (-hours[hour], hour))
        documents[f"genre_stats_{slug}"] = {
            "genre": min(view.genre for view in group),
            "slug": slug,
            "timestamp": date(max(view.timestamp_ms for view in group)),
            "total_views": len(group),
            "unique_movies": len({view.movie_id for view in group}),
            "unique_users": len({view.user_id for view in group}),
            "rated_views": len(ratings_of(group)),
            "avg_rating": mean(ratings_of(group)),
            "total_revenue": revenue_of(group, rules),
            "peak_hour": f"{peak_hour:02}:00",
        }
    return with_ids(documents)


def active_users(applied: Sequence[View], rules: Rules) -> dict[str, Document]:
    users: dict[int, set[str]] = defaultdict(set)
    new_users: Counter[int] = Counter()
    sessions: dict[int, list[int]] = defaultdict(list)
    for user_id, group in grouped(applied, lambda v: v.user_id):
        new_users[day_of(min(view.timestamp_ms for view in group))] += 1
        for view in group:
            users[day_of(view.timestamp_ms)].add(user_id)
        for first_start, furthest_end in sessions_of(group, rules.session_gap_ms):
            sessions[day_of(first_start)].append(furthest_end - first_start)
    documents = {}
    for start in users:
        lengths = sessions[start]
        documents[f"active_users_{day(start)}"] = {
            "date": day(start),
            "timestamp": date(start),
            "total_users": len(users[start]),
            "new_users": new_users[start],
            "returning_users": len(users[start]) - new_users[start],
            "sessions": len(lengths),
            "avg_session_duration": sum(lengths) / (len(lengths) * MINUTE_MS) if lengths else None,
        }
    return with_ids(documents)


def sessions_of(group: Sequence[View], gap_ms: int) -> list[tuple[int, int]]:
    """(first start, furthest end) of each session of one user's views, in Unix milliseconds."""
    sessions: list[tuple[int, int]] = []
    for view in sorted(group, key=lambda view: view.timestamp_ms):
        start = view.timestamp_ms
        end = start + (view.duration_min or 0) * MINUTE_MS
        if sessions and start <= sessions[-1][1] + gap_ms:
            first_start, furthest_end = sessions[-1]
            sessions[-1] = first_start, max(furthest_end, end)
        else:
            sessions.append((start, end))
    return sessions


def hourly_metrics(applied: Sequence[View], rules: Rules) -> dict[str, Document]:
    documents = {}
    for start, group in grouped(applied, lambda v: v.timestamp_ms // HOUR_MS * HOUR_MS):
        documents[f"hourly_{second(start)}"] = {
            "timestamp": date(start),
            "total_views": len(group),
            "unique_users": len({view.user_id for view in group}),
            "rated_views": len(ratings_of(group)),
            "avg_rating": mean(ratings_of(group)),
            "total_duration": minutes_of(group),
            "total_revenue": revenue_of(group, rules),
        }
    return with_ids(documents)


def daily_stats(applied: Sequence[View], rules: Rules) -> dict[str, Document]:
    documents = {}
    for (slug, start), group in grouped(applied, lambda v: (v.slug, day_of(v.timestamp_ms))):
        documents[f"{slug}_{day(start)}"] = {
            "genre": min(view.genre for view in group),
            "slug": slug,
            "date": day(start),
            "timestamp": date(start),
            "daily_views": len(group),
            "unique_users": len({view.user_id for view in group}),
            "rated_views": len(ratings_of(group)),
            "avg_daily_rating": mean(ratings_of(group)),
            "total_watch_time": minutes_of(group),
            "daily_revenue": revenue_of(group, rules),
        }
    return with_ids(documents)


def top_users(applied: Sequence[View]) -> dict[str, Document]:
    documents = {}
    for start, on_day in grouped(applied, lambda v: day_of(v.timestamp_ms)):
        users = [
            {"user_id": user_id, "watch_count": len(group), "watch_time": minutes_of(group)}
            for user_id, group in grouped(on_day, lambda v: v.user_id)
        ]
        users.sort(key=lambda user: (-user["watch_count"], user["user_id"]))
        documents[f"top_users_{day(start)}"] = {
            "date": day(start),
            "timestamp": date(start),
            "top_users": users[:TOP],
        }
    return with_ids(documents)


def data_quality(verdicts: Iterable[Verdict]) -> dict[str, Document]:
    """Record by record. A reason is written here as its kind; see `differing_fields`."""
    documents: dict[str, Document] = {}
    watermarks: dict[int, int] = {}
    films: dict[str, set[str]] = defaultdict(set)
    delays: dict[str, list[int]] = defaultdict(list)
    refused: dict[str, Counter[str]] = defaultdict(Counter)
    genres: set[tuple[int, str]] = set()
    titles: dict[tuple[int, str], str] = {}
    for partition, _, record_time_ms, view, kind in verdicts:
        own_ms = record_time_ms if record_time_ms is not None and 0 <= record_time_ms < YEAR_9999_MS else None
        if view is not None:
            watermarks[partition] = max(watermarks.get(partition, 0), view.timestamp_ms)
        hour = watermarks.get(partition, own_ms or 0) // HOUR_MS * HOUR_MS
        name = f"data_quality_{partition}_{second(hour)}"
        document = documents.setdefault(name, {"timestamp": date(hour), "partition": partition, **_NO_RECORDS})
        document["records"] += 1
        if view is None:
            if kind != "again":
                document[kind] += 1
                refused[name][kind] += 1
            continue
        document["views"] += 1
        document["without_rating"] += view.rating_micro is None
        document["without_duration"] += view.duration_min is None
        document["without_price"] += view.price_micro is None
        films[name].add(view.movie_id)
        document["new_genres"] += (partition, view.slug) not in genres
        genres.add((partition, view.slug))
        document["retitled"] += titles.get((partition, view.movie_id), view.title) != view.title
        titles[partition, view.movie_id] = view.title
        if own_ms is not None:
            delays[name].append(own_ms - view.timestamp_ms)
    for name, document in documents.items():
        document["unique_movies"] = len(films[name])
        if delays[name]:
            document["avg_delay_s"] = sum(delays[name]) / (len(delays[name]) * 1_000)
            document["max_delay_s"] = max(delays[name]) / 1_000
        most_first = sorted(refused[name].items(), key=lambda one: (-one[1], one[0]))
        document["refused"] = [{"kind": kind, "reason": kind, "count": count} for kind, count in most_first]
    return with_ids(documents)


_NO_RECORDS: Document = {
    **dict.fromkeys(("records", "views", "bad", "late"), 0),
    **dict.fromkeys(("without_rating", "without_duration", "without_price"), 0),
    **dict.fromkeys(("unique_movies", "new_genres", "retitled"), 0),
    **dict.fromkeys(("avg_delay_s", "max_delay_s", "refused")),
}


def grouped(applied: Iterable[View], key: Any) -> Iterable[tuple[Any, list[View]]]:
    groups: dict[Any, list[View]] = defaultdict(list)
    for view in applied:
        groups[key(view)].append(view)
    return groups.items()


def with_ids(documents: dict[str, Document]) -> dict[str, Document]:
    return {name: {"_id": name, **document} for name, document in documents.items()}


def ratings_of(group: Iterable[View]) -> list[int]:
    return [view.rating_micro for view in group if view.rating_micro is not None]


def mean(micros: Sequence[int]) -> float | None:
    return sum(micros) / (len(micros) * MICRO) if micros else None


def revenue_of(group: Iterable[View], rules: Rules) -> float:
    default_micro = round(rules.revenue_per_view * 1e6)
    return sum(default_micro if view.price_micro is None else view.price_micro for view in group) / MICRO


def minutes_of(group: Iterable[View]) -> int:
    return sum(view.duration_min or 0 for view in group)


def day_of(timestamp_ms: int) -> int:
    return timestamp_ms // DAY_MS * DAY_MS


def date(timestamp_ms: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=timestamp_ms)


def second(timestamp_ms: int) -> str:
    return date(timestamp_ms).isoformat().removesuffix("+00:00") + "Z"


def day(timestamp_ms: int) -> str:
    return date(timestamp_ms).date().isoformat()


# ---- for the tests ---------------------------------------------------------------------------------------

A_VIEW = {
    "movie_id": "m1",
    "title": "Alien",
    "genre": "Sci-Fi",
    "user_id": "u1",
    "timestamp": 1_730_385_000_000,
}
"""At 2024-10-31T14:30:00Z."""


def views(*events: Mapping[str, object], first_offset: int = 0, record_time_ms: int | None = None) -> list[Record]:
    """One partition's records: each event is A_VIEW with the fields that are given."""
    return [
        (first_offset + i, record_time_ms, json.dumps({**A_VIEW, **event}).encode()) for i, event in enumerate(events)
    ]


def same(documents: Mapping[str, Any], expected: Documents) -> list[str]:
    """How documents (by collection, then by `_id` or in a list) differ from the expected ones.

    Everything is equal exactly, types of numbers included, but for the sketches' figures: equal up to 300,
    within five standard errors above; and of refused records the numbers by kind are compared, not the reasons.
    `_rev` and `_run` are not looked at, nor are collections that are not expected.
    """
    differences = []
    for collection in sorted(expected):
        found = documents.get(collection, {})
        if not isinstance(found, Mapping):
            found = {document["_id"]: document for document in found}
        wanted = expected.get(collection, {})
        for name in sorted(found.keys() | wanted.keys()):
            where = f"{collection} {name}"
            if name not in found:
                differences.append(f"{where}: missing")
            elif name not in wanted:
                differences.append(f"{where}: not expected")
            else:
                differences += differing_fields(collection, where, found[name], wanted[name])
    return differences


def differing_fields(collection: str, where: str, found: Mapping[str, Any], wanted: Document) -> list[str]:
    differences = []
    for field in sorted((found.keys() | wanted.keys()) - {"_rev", "_run"}):
        if field not in found:
            differences.append(f"{where} {field}: missing")
        elif field not in wanted:
            differences.append(f"{where} {field}: not expected")
        elif (collection, field) in SKETCHES and wanted[field] > EXACT_UP_TO:
            tolerance = STANDARD_ERRORS * SKETCHES[collection, field] * wanted[field]
            if not isinstance(found[field], int) or abs(found[field] - wanted[field]) > tolerance:
                differences.append(f"{where} {field}: {found[field]!r} is not {wanted[field]} +- {tolerance:.0f}")
        elif (collection, field) == ("data_quality", "refused"):
            if refused_by_kind(found[field]) != refused_by_kind(wanted[field]):
                differences.append(f"{where} {field}: {found[field]!r} is not {wanted[field]!r}, reasons aside")
        elif not equal(found[field], wanted[field]):
            differences.append(f"{where} {field}: {found[field]!r} is not {wanted[field]!r}")
    return differences


def refused_by_kind(refused: Iterable[Mapping[str, Any]]) -> Counter[str]:
    """The reasons are said in words that this reference does not know."""
    counts: Counter[str] = Counter()
    for one in refused:
        counts[one["kind"]] += one["count"]
    return counts


def equal(found: Any, wanted: Any) -> bool:
    """Equality that distinguishes 1 from 1.0 and True, at any depth; any whole-number type is an int."""
    if isinstance(wanted, list):
        return isinstance(found, list) and len(found) == len(wanted) and all(map(equal, found, wanted))
    if isinstance(wanted, dict):
        return (
            isinstance(found, Mapping)
            and found.keys() == wanted.keys()
            and all(equal(found[key], wanted[key]) for key in wanted)
        )
    if isinstance(found, bool) or not isinstance(found, type(wanted)):
        return False
    return bool(found == wanted)
