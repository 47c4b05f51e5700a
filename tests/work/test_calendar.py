"""The sessions round a window: built into the store once, and read from there."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

import pytest

from mdagent.clock import VirtualClock
from mdagent.market import BarRequest, Instrument, Symbol
from mdagent.sessions import Session, version_of
from mdagent.store.bars import BarStore
from mdagent.work.calendar import calendar_for, ensure_sessions, read_sessions

if TYPE_CHECKING:
    from pathlib import Path

NOW = datetime(2024, 1, 17, 22, 0, tzinfo=UTC)


@pytest.fixture
def store(tmp_path: Path) -> BarStore:
    return BarStore(tmp_path / "bars.duckdb", "live", VirtualClock(NOW))


def ask(symbol: str = "AAPL", start: str = "2024-01-02", end: str = "2024-01-17") -> BarRequest:
    return BarRequest(symbol, "1d", start, end)  # type: ignore[arg-type]


def days(sessions: object) -> set[date]:
    assert sessions is not None
    return {s.day for s in sessions}  # type: ignore[attr-defined]


def stored(store: BarStore) -> list[tuple[str, date, date]]:
    with store.reading() as reader:
        return reader.query("SELECT calendar, start_day, end_day FROM calendars ORDER BY 1")[1]  # type: ignore[return-value]


def test_a_calendar_is_built_the_first_time_it_is_needed_with_years_to_spare(store: BarStore) -> None:
    found = ensure_sessions(store, ask(), {})
    assert date(2024, 1, 16) in days(found)
    assert date(2024, 1, 15) not in days(found), "Martin Luther King day"
    assert stored(store) == [("XNYS", date(2000, 1, 1), date(2025, 5, 31))]


def test_what_is_read_is_what_was_built(store: BarStore) -> None:
    built = ensure_sessions(store, ask(), {})
    assert built is not None
    again = ensure_sessions(store, ask(), {})
    with store.reading() as reader:
        read = read_sessions(reader, ask())
    assert tuple(built) == again == read
    assert isinstance(built[0], Session)
    assert built[0].opens.tzinfo is UTC


def test_breaks_survive_the_store(store: BarStore) -> None:
    tokyo = ensure_sessions(store, ask("7203.T"), {})
    assert tokyo is not None
    assert tokyo[0].breaks is not None
    with store.reading() as reader:
        assert read_sessions(reader, ask("7203.T")) == tuple(tokyo)


def test_a_window_beyond_what_was_built_builds_it_anew(store: BarStore) -> None:
    ensure_sessions(store, ask(), {})
    with store.reading() as reader:
        assert read_sessions(reader, ask(start="1990-01-02")) is None
    assert date(1990, 1, 2) in days(ensure_sessions(store, ask(start="1990-01-02", end="1990-02-01"), {}))
    assert stored(store)[0][1] < date(1990, 1, 2)


def test_a_closure_of_the_settings_takes_effect_and_can_be_taken_back(store: BarStore) -> None:
    closed = {"XNYS": (date(2024, 1, 10),)}
    assert date(2024, 1, 10) in days(ensure_sessions(store, ask(), {}))
    assert date(2024, 1, 10) not in days(ensure_sessions(store, ask(), closed))
    with store.reading() as reader:
        assert reader.calendar_version("XNYS") == version_of("XNYS", closed["XNYS"])
        assert reader.calendar_version("XLON") is None
    assert date(2024, 1, 10) in days(ensure_sessions(store, ask(), {}))


def test_a_symbol_whose_calendar_is_unknown_has_no_sessions_and_makes_no_store(store: BarStore) -> None:
    assert ensure_sessions(store, ask("^UNHEARD"), {}) is None
    assert not store.exists()


def test_what_a_source_told_of_a_symbol_decides_where_its_spelling_does_not(store: BarStore) -> None:
    assert calendar_for(None, Symbol.parse("^UNHEARD")) == ""
    told = Instrument(Symbol.parse("^UNHEARD"), "yahoo", "Unheard", "LSE", "Europe/London", "GBP", "INDEX")
    with store.writing("test") as writer:
        writer._db.execute(  # noqa: SLF001  a fact without its bars
            "INSERT INTO instruments VALUES (?,?,?,?,?,?,?,?,?)",
            [
                told.symbol.ticker,
                told.source,
                told.name,
                told.exchange,
                told.zone,
                told.currency,
                told.kind,
                None,
                NOW.replace(tzinfo=None),
            ],
        )
        assert calendar_for(writer, told.symbol) == "XLON"
    assert date(2024, 1, 2) in days(ensure_sessions(store, ask("^UNHEARD"), {}))
