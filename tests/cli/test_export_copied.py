"""`mdagent export -o FILE.parquet` is copied by DuckDB: the very same columns and rows as those that go through Python."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import duckdb
import pytest

from mdagent.cli.render import COLUMNS, shown, write_parquet
from mdagent.clock import SystemClock
from mdagent.market import Adjustment, BarRequest, Interval, Symbol
from mdagent.store.bars import BarStore
from mdagent.work.validate import SPAN
from tests.cli.drawn import HEADER, put
from tests.cli.shell import JANUARY, Shell

if TYPE_CHECKING:
    from pathlib import Path


def table(path: Path) -> tuple[list[tuple[str, str]], list[tuple[Any, ...]]]:
    """Names and types of the columns, and the rows as they lie in the file."""
    with duckdb.connect() as db:
        kinds = [(str(r[0]), str(r[1])) for r in db.execute(f"DESCRIBE SELECT * FROM '{path}'").fetchall()]
        return kinds, db.execute(f"SELECT * FROM '{path}'").fetchall()


def through_python(shell: Shell, symbols: list[str], interval: str, adjust: str, source: str | None = None) -> Path:
    """What the rows that a reader tells make as a file."""
    store = BarStore(shell.home / "bars.duckdb", "sandbox", SystemClock())
    with store.reading() as reader:
        names = symbols or reader.symbols()
        asked = [BarRequest(Symbol.parse(n), Interval.parse(interval), *SPAN, Adjustment.parse(adjust)) for n in names]
        rows = reader.bars(asked, (source,) if source else ())
    path = shell.cwd / "python.parquet"
    write_parquet(COLUMNS, shown(rows), path, force=True)
    return path


def same(shell: Shell, *symbols: str, interval: str = "1d", adjust: str = "splits", source: str | None = None) -> int:
    """Both ways; how many rows there are."""
    words = ["-i", interval, "--adjust", adjust, *(["--source", source] if source else [])]
    shell.good("export", *symbols, *words, "-o", "copied.parquet", "--force")
    copied = table(shell.cwd / "copied.parquet")
    assert copied == table(through_python(shell, list(symbols), interval, adjust, source))
    return len(copied[1])


def spoil(shell: Shell, statement: str) -> None:
    with duckdb.connect(shell.home / "bars.duckdb") as db:
        db.execute(statement)


def test_plain_series_are_copied_as_they_are_told(stocked: Shell) -> None:
    assert same(stocked) == 42
    assert same(stocked, "MSFT") == 21
    stocked.good("store", "compact")
    assert same(stocked) == 42


def test_symbols_come_in_the_order_in_which_they_are_named(stocked: Shell) -> None:
    assert same(stocked, "MSFT", "AAPL") == 42


def test_series_that_lie_in_pieces_come_in_order(stocked: Shell) -> None:
    stocked.good("fetch", "AAPL", "--start", "2023-12-01", "--end", "2024-01-02")
    assert same(stocked) == 62
    stocked.clock.pause(timedelta(days=2).total_seconds())
    stocked.good("fetch", "AAPL", "--start", "2024-02-01", "--end", "2024-02-07")
    assert same(stocked) == 67


@pytest.mark.parametrize("adjust", ["raw", "splits", "all"])
def test_several_sources_are_joined_first(three_sources: Shell, adjust: str) -> None:
    three_sources.good("fetch", "MSFT", *JANUARY)
    assert same(three_sources, adjust=adjust)
    assert same(three_sources, "AAPL", adjust=adjust, source="tiingo")


def test_what_is_decided_holds(stocked: Shell) -> None:
    stocked.good("override", "AAPL", "2024-01-03", "--reject", "--reason", "x", "--by", "me")
    assert same(stocked) == 41


def test_a_split_since_the_delivery_is_heeded(stocked: Shell) -> None:
    day = "DATE '2024-02-05', 4.0, NULL, TIMESTAMP '2024-02-05 22:30:00', 1, false, NULL"
    spoil(stocked, f"INSERT INTO actions VALUES ('AAPL', 'yahoo', 'split', {day})")
    assert same(stocked) == 42


def test_a_volume_in_shares_of_its_day_is_brought_to_those_of_today(stocked: Shell) -> None:
    spoil(stocked, "UPDATE bars SET raw_volume = true")
    day = "DATE '2024-01-17', 4.0, NULL, TIMESTAMP '2024-01-17 22:30:00', 1, false, NULL"
    spoil(stocked, f"INSERT INTO actions VALUES ('AAPL', 'yahoo', 'split', {day})")
    assert same(stocked) == 42


def test_bars_without_currency_or_volume_are_copied_as_such(stocked: Shell) -> None:
    spoil(stocked, "UPDATE bars SET currency = NULL, volume = CASE WHEN ts > TIMESTAMP '2024-01-10' THEN volume END WHERE symbol = 'MSFT'")
    assert same(stocked) == 42


def test_intraday_bars_are_copied(stocked: Shell) -> None:
    stocked.good("fetch", "AAPL", "MSFT", "-i", "1h", "--start", "2024-01-29", "--end", "2024-02-02")
    assert same(stocked, interval="1h") == 56


def test_imported_bars_are_copied_too(stocked: Shell) -> None:
    stocked.good("import", put(stocked.cwd / "NVDA.csv", f"{HEADER}\n2024-01-02,48,49,47,48.5,1000\n"), "--currency", "USD")
    assert same(stocked) == 43


def test_nothing_is_written_over_and_nothing_half_is_left(stocked: Shell) -> None:
    stocked.good("export", "-o", "x.parquet")
    said = stocked.run("export", "-o", "x.parquet")
    assert (said.code, "exists already" in said.err) == (2, True)
    assert stocked.run("export", "NVDA", "-o", "none.parquet").code == 12
    assert stocked.run("export", "AAPL", "--adjust", "all", "-o", "all.parquet").code == 4
    assert not [name for name in stocked.files() if ".new-" in name]


def test_the_store_is_sealed_but_for_the_one_file(stocked: Shell) -> None:
    store, named = BarStore(stocked.home / "bars.duckdb", "sandbox", SystemClock()), stocked.cwd / "named.parquet"
    with store.reading(writes=named) as reader:
        reader.ask(f"COPY bars TO '{named}' (FORMAT parquet, USE_TMP_FILE false)", [])
        for other in (f"COPY bars TO '{stocked.cwd}/other.parquet'", "SET enable_external_access = true", "SET allowed_paths = ['/']"):
            with pytest.raises(duckdb.Error):
                reader.ask(other, [])
        with pytest.raises(duckdb.Error):
            reader.ask("DELETE FROM bars", [])
