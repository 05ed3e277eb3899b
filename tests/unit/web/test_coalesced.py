"""What readers of the changes are told, held against a list of all that has changed."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from movie_stream.web.coalesced import AT_MOST_EVERY_S, DOCUMENTS_AT_MOST, Event, Ledger, Reading, Status

NAMES = ("films", "days", "users")
UP, DOWN, UNKNOWN = Status("polling", "up"), Status("polling", "down"), Status("polling", None)
counts = st.dictionaries(st.sampled_from(NAMES), st.integers(1, 9), min_size=1)


class Client:
    """Somebody who reads, and comes back with the id that he was given last."""

    def __init__(self, log: list[Counter[str]], ledger: Ledger) -> None:
        self.log, self.ledger = log, ledger
        self.began = len(log)
        """What has changed before is not for him."""
        self.told: Counter[str] = Counter()
        self.id: str | None = None
        self.reading = Reading()
        self.changed_at_s = -1.0

    def take(self, event: Event, now_s: float) -> None:
        self.id = event.id or self.id
        if event.name == "reset":
            self.told, self.began = Counter(), len(self.log)
        if event.name == "change":
            assert all(event.data["collections"].values())
            self.told.update(event.data["collections"])
        if event.name != "status":
            assert now_s >= self.changed_at_s + AT_MOST_EVERY_S or self.changed_at_s < 0
            self.changed_at_s = now_s

    def come_back(self) -> None:
        self.reading, self.changed_at_s = Reading(self.id), -1.0
        if self.id is None:  # he was told nothing yet
            self.began = len(self.log)

    @property
    def missed(self) -> Counter[str]:
        """What he has not been told of what has changed since he began."""
        return sum(self.log[self.began :], Counter()) - self.told


class Readers(RuleBasedStateMachine):
    """Readers that come and go, and are slow, while collections change and MongoDB is up or down."""

    def __init__(self) -> None:
        super().__init__()
        self.log: list[Counter[str]] = []
        self.ledger = Ledger(NAMES)
        self.clients: list[Client] = []
        self.status = UNKNOWN
        self.now_s = 0.0

    @rule(of=counts)
    def change(self, of: dict[str, int]) -> None:
        self.ledger.add(of)
        self.log.append(Counter(of))

    @rule(to=st.sampled_from([UP, DOWN, UNKNOWN]))
    def turn(self, to: Status) -> None:
        self.status = to

    @rule()
    def lose(self) -> None:
        self.ledger.forget()

    @rule(seconds=st.floats(0.01, 1))
    def wait(self, seconds: float) -> None:
        self.now_s += seconds

    @precondition(lambda self: len(self.clients) < 4)
    @rule()
    def join(self) -> None:
        self.clients.append(Client(self.log, self.ledger))

    @precondition(lambda self: self.clients)
    @rule(data=st.data())
    def read(self, data: st.DataObject) -> None:
        client = data.draw(st.sampled_from(self.clients))
        fresh = client.id is None
        due = client.reading.due(self.ledger, self.status, self.now_s)
        if isinstance(due, Event):
            if fresh and due.id is not None:
                client.began = len(self.log)
            client.take(due, self.now_s)
        elif isinstance(due, float):
            assert 0 < due <= AT_MOST_EVERY_S

    @precondition(lambda self: self.clients)
    @rule(data=st.data())
    def reconnect(self, data: st.DataObject) -> None:
        data.draw(st.sampled_from(self.clients)).come_back()

    @invariant()
    def told_of_all_in_the_end(self) -> None:
        for client in self.clients:
            if client.id is None:
                continue
            assert client.told - sum(self.log[client.began :], Counter()) == Counter(), "told of what was not"
            trial = Client(self.log, self.ledger)
            trial.began, trial.told, trial.id = client.began, client.told.copy(), client.id
            trial.reading = Reading(client.id)
            now_s, events = self.now_s, 0
            while isinstance(due := trial.reading.due(self.ledger, UP, now_s), Event | float):
                if isinstance(due, Event):
                    trial.take(due, now_s)
                    events += 1
                else:
                    now_s += due
            assert trial.missed == Counter()
            assert events <= 2, "the status, and one event of all changes"


TestReaders = Readers.TestCase


def all_of(reading: Reading, ledger: Ledger, now_s: float = 0.0) -> list[Event]:
    found = []
    while isinstance(due := reading.due(ledger, UP, now_s), Event):
        found.append(due)
    return found


def test_a_first_reader_is_told_the_status_and_then_what_changes() -> None:
    ledger, reading = Ledger(NAMES), Reading()
    ledger.add({"days": 3})
    assert reading.due(ledger, UNKNOWN, 0.0) is None
    [status] = all_of(reading, ledger)
    assert (status.name, status.data) == ("status", {"source": "polling", "mongodb": "up"})
    assert status.id == ledger.id_of(ledger.here)
    ledger.stream_time = "noon"
    ledger.add({"films": 2, "days": 1})
    ledger.add({"films": 2})
    [change] = all_of(reading, ledger)
    assert change.data == {"collections": {"films": 4, "days": 1}, "stream_time": "noon"}
    ledger.add({"users": 1})
    assert reading.due(ledger, UP, AT_MOST_EVERY_S / 2) == AT_MOST_EVERY_S / 2
    [change] = all_of(reading, ledger, AT_MOST_EVERY_S)
    assert change.data["collections"] == {"users": 1}


def test_a_reader_that_comes_back_is_told_what_it_has_missed_first() -> None:
    ledger = Ledger(NAMES)
    [status] = all_of(Reading(), ledger)
    ledger.add({"users": 5})
    _, change = all_of(Reading(status.id), ledger)
    assert (change.name, change.data["collections"]) == ("change", {"users": 5})
    _, nothing = all_of(Reading(change.id), ledger)
    assert (nothing.name, nothing.data["collections"]) == ("change", {})


def test_while_mongodb_is_down_a_place_is_kept() -> None:
    ledger, reading = Ledger(NAMES), Reading()
    [status] = all_of(reading, ledger)
    resumed = Reading(status.id)
    down = resumed.due(ledger, DOWN, 0.0)
    assert isinstance(down, Event)
    assert (down.data["mongodb"], down.id) == ("down", None)
    ledger.add({"films": 1})
    assert resumed.due(ledger, DOWN, 0.0) is None
    up, change = all_of(resumed, ledger)
    assert (up.data["mongodb"], change.data["collections"]) == ("up", {"films": 1})


@given(st.text() | st.from_regex(r"[0-9a-f]{8}(\.[0-9]{1,30}){1,4}", fullmatch=True))
def test_an_id_that_says_nothing_is_answered_by_a_reset(forged: str) -> None:
    ledger = Ledger(NAMES)
    *_, told = all_of(Reading(forged or "x"), ledger)
    assert told.name == "reset"
    assert told.id == ledger.id_of(ledger.here)


@pytest.mark.parametrize("numbers", ["9.0.0", "0.0", "0.0.0.0", "-1.0.0", "0.0.\u0663", "0.0.", "1e1.0.0", ""])
def test_so_is_a_forged_id_of_now(numbers: str) -> None:
    ledger = Ledger(NAMES)
    ledger.add({"films": 3, "users": 4})
    assert ledger.position_of(f"{ledger.here.epoch}.3.0.4") == ledger.here
    *_, told = all_of(Reading(f"{ledger.here.epoch}.{numbers}"), ledger)
    assert told.name == "reset"


@given(st.lists(st.lists(st.tuples(st.sampled_from(NAMES), st.integers(0, 400).map(str)), max_size=300), max_size=6))
def test_documents_are_named_once_the_last_first_and_no_more_than_so_many(flushes: list[list[tuple[str, str]]]) -> None:
    ledger, reading = Ledger(NAMES), Reading(detail=True)
    ledger.names_documents = True
    all_of(reading, ledger)
    everything: list[tuple[str, str]] = []
    for flush in flushes:
        ledger.add(Counter(name for name, _ in flush), flush)
        everything += flush
    naive = list(dict.fromkeys(reversed(everything)))
    told = all_of(reading, ledger)
    assert len(told) == bool(everything)
    if told:
        named = [(document["collection"], document["_id"]) for document in told[0].data["documents"]]
        assert named == naive[:DOCUMENTS_AT_MOST]


def test_documents_that_nobody_knows_are_not_an_empty_list() -> None:
    ledger, reading = Ledger(NAMES), Reading(detail=True)
    all_of(reading, ledger)
    ledger.add({"films": 1})
    [change] = all_of(reading, ledger)
    assert change.data["documents"] is None


def test_what_is_kept_does_not_grow() -> None:
    ledger = Ledger(NAMES)
    for number in range(20_000):
        ledger.add({"films": 1}, [("films", str(number))])
    assert len(ledger._last) <= 1_000
    assert len(ledger.id_of(ledger.here)) < 30
