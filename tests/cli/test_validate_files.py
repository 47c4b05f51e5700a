"""`mdagent validate --file`: the files that can be read, those that cannot, and the rows that are no bars."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.cli.drawn import META, judge, put, sessions, text, types, walk
from tests.cli.shell import Shell

if TYPE_CHECKING:
    from datetime import date
    from pathlib import Path


@pytest.fixture
def shell(almanac: Shell) -> Shell:
    return almanac


# ---- rows that are no bars


@pytest.mark.parametrize("stamp", ["soon", "2023-02-31", ""])
def test_a_row_without_a_date_is_rejected_and_not_dropped(shell: Shell, stamp: str) -> None:
    rows = text(walk()).splitlines()
    rows[30] = stamp + rows[30][10:]
    told = judge(shell, "\n".join(rows))
    assert told["bars"] == len(sessions())
    assert told["quarantined"] == 1
    assert "nan_field" in types(told)


@pytest.mark.parametrize("spoil", [lambda row: row.replace(row.split(",")[4], "n/a"), lambda row: row + ",7", lambda row: row[:22]])
def test_a_row_that_lacks_a_price_or_has_a_cell_too_many_is_rejected(shell: Shell, spoil: Any) -> None:
    rows = text(walk()).splitlines()
    rows[30] = spoil(rows[30])
    told = judge(shell, "\n".join(rows))
    assert told["quarantined"] == 1
    assert told["absences"] == [{"ts": sessions()[29].isoformat(), "reason": "row rejected"}]


def test_a_file_of_which_most_rows_are_bad_is_refused(shell: Shell) -> None:
    rows = text(walk()).splitlines()
    told = judge(shell, "\n".join([rows[0], *(row if n % 2 else row.replace(".", "x") for n, row in enumerate(rows[1:]))]), code=6)
    assert told["refused"] is True
    assert told["grade"]["band"] == "F"


# ---- files that cannot be judged


BAD = {
    "empty": (b"", 12, "is empty (0 bytes)"),
    "blank": (b"\n\n", 12, "blank lines"),
    "header": (b"timestamp,open,high,low,close\n", 12, "a header and no rows"),
    "columns": (b"timestamp,open,high,close\n2023-01-03,1,1,1\n", 2, "no column for low"),
    "twice": (b"date,open,high,low,close,close\n2023-01-03,1,1,1,1,1\n", 2, "2 columns 'close'"),
    "dates": (b"date,open,high,low,close\nyesterday,1,1,1,1\n", 2, "'yesterday'"),
    "two ways": (b"date,open,high,low,close\n01/02/2023,1,1,1,1\n03/02/2023,1,1,1,1\n", 2, "can be read in two ways"),
    "binary": (bytes(range(256)), 2, "neither a CSV"),
    "html": (b"<html><body>429 Too Many Requests</body></html>", 2, "no column for timestamp"),
    "json": (b'{"error": "no such symbol"}', 2, "no column for timestamp"),
    "parquet": (b"PAR1 and nothing more", 2, "cannot be read as Parquet"),
    "centuries": (b"date,open,high,low,close\n0001-01-01,1,1,1,1\n", 2, "no row between 1900 and 2100"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_file_that_cannot_be_judged_is_named_with_what_is_wrong(shell: Shell, name: str) -> None:
    raw, code, words = BAD[name]
    (shell.cwd / "x.csv").write_bytes(raw)
    said = shell.run("validate", "--file", "x.csv")
    assert (said.code, said.out) == (code, "")
    assert "x.csv" in said.err or name == "two ways"
    assert words in said.err
    assert "→" in said.err
    assert "Traceback" not in said.err


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (("--file", "gone.csv"), 2, "gone.csv"),
        (("--file", "."), 12, "holds no CSV or Parquet file"),
        (("--file", "good.csv", "--meta", "gone.json"), 2, "gone.json"),
        (("--file", "good.csv", "--meta", "good.csv"), 2, "is no JSON"),
        (("--file", "good.csv", "--against", "gone.csv"), 2, "gone.csv"),
        (("--file", "good.csv", "--mode", "lenient"), 2, "use one of strict, balanced"),
        (("--file", "good.csv", "--min-grade", "Z"), 2, "is not a grade"),
        (("--file", "good.csv", "--interval", "2d"), 2, "is not an interval"),
        (("--file", "good.csv", "--adjust", "most"), 2, "is not an adjustment"),
        (("--file", "good.csv", "--format", "parquet"), 2, "parquet"),
        (("AAPL", "MSFT", "--file", "good.csv"), 2, "2 symbols"),
        (("A L", "--file", "good.csv"), 2, "is not a symbol"),
        (("--against", "good.csv"), 2, "--against is about a file"),
        (("AAPL",), 12, "there is no store"),
    ],
)
def test_a_wrong_word_is_told_with_a_way_on(tmp_path: Path, words: tuple[str, ...], code: int, told: str) -> None:
    shell = Shell(tmp_path)
    if words != ("--file", "."):
        put(tmp_path / "good.csv", text(walk()))
    said = shell.run("validate", *words)
    assert (said.code, said.out) == (code, "")
    assert told in said.err
    assert "→" in said.err


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("symbol", 7), ("interval", "2d"), ("calendar", "XXXX"), ("adjustment", "most"), ("asof", "soon"), ("requested_start", []),
        ("actions", [{"type": "split", "date": "2023-02-01", "ratio": 0}]), ("actions", [{"type": "gift"}]), ("actions", "none"),
        ("sources", ["a.csv"]),
    ],
)  # fmt: skip
def test_a_wrong_meta_is_told_by_its_key_or_value(shell: Shell, key: str, value: Any) -> None:
    file, known = put(shell.cwd / "a.csv", text(walk())), put(shell.cwd / "m.json", json.dumps(META | {key: value}))
    said = shell.run("validate", "--file", file, "--meta", known, "--json")
    assert (said.code, said.out) == (2, "")
    assert key in said.err or str(value) in said.err


# ---- what vendors write


def _money(number: float) -> str:
    return f"${number:,.2f}"


VENDORS = {
    "stooq": ("<TICKER>,<PER>,<DATE>,<TIME>,<OPEN>,<HIGH>,<LOW>,<CLOSE>,<VOL>",
              lambda b: ",".join(["ACME", "D", f"{b.day:%Y%m%d}", "000000", *b.cells[1:]])),
    "nasdaq": ("Date,Close/Last,Volume,Open,High,Low",
               lambda b: f'{b.day:%m/%d/%Y},${b.close},"{b.volume:,}",${b.open},${b.high},${b.low}'),
    "tiingo": ("date,close,high,low,open,volume,adjClose,divCash,splitFactor",
               lambda b: f"{b.day}T00:00:00.000Z,{b.close},{b.high},{b.low},{b.open},{b.volume},{b.close},0.0,1.0"),
    "yfinance": ("Date,Open,High,Low,Close,Volume,Dividends,Stock Splits",
                 lambda b: f"{b.day} 00:00:00-05:00,{b.open},{b.high},{b.low},{b.close},{b.volume},0.0,0.0"),
    "alphavantage": ("timestamp,open,high,low,close,adjusted_close,volume,dividend_amount,split_coefficient",
                     lambda b: ",".join([*b.cells[:5], b.cells[4], b.cells[5], "0.0000", "1.0"])),
    "twelvedata": ("datetime;open;high;low;close;volume", lambda b: ";".join(b.cells)),
    "excel": ("Datum;Open;High;Low;Close;Volume".replace("Datum", "Date"),
              lambda b: ";".join([f"{b.day:%d.%m.%Y}", *(c.replace(".", ",") for c in b.cells[1:])])),
    "polygon": ("v,o,c,h,l,t", lambda b: f"{b.volume},{b.open},{b.close},{b.high},{b.low},{_ms(b.day)}"),
    "pandas": (",Open,High,Low,Close,Volume", lambda b: ",".join(b.cells)),
    "shouting": ("TIMESTAMP,OPEN,HIGH,LOW,CLOSE,VOLUME", lambda b: ",".join(b.cells)),
}  # fmt: skip


def _ms(day: date) -> int:
    return (day.toordinal() - 719163) * 86_400_000


@pytest.mark.parametrize("vendor", VENDORS)
def test_a_vendor_s_file_is_read_as_it_comes(shell: Shell, vendor: str) -> None:
    header, line = VENDORS[vendor]
    told = judge(shell, text(walk(), header, line))
    assert told["findings"] == []
    assert (told["bars"], told["grade"]["letter"]) == (len(sessions()), "A")


def test_three_lines_of_header_are_one(shell: Shell) -> None:
    rows = [f"{b.day},{b.close},{b.high},{b.low},{b.open},{b.volume}" for b in walk()]
    words = "\n".join(["Price,Close,High,Low,Open,Volume", "Ticker,ACME,ACME,ACME,ACME,ACME", "Date,,,,,", *rows])
    assert judge(shell, words)["findings"] == []


def test_a_file_without_volume_says_what_was_not_checked(shell: Shell) -> None:
    told = judge(shell, text(walk(), "date,open,high,low,close", lambda b: ",".join(b.cells[:5])))
    assert "volumes" in {s["check"] for s in told["checks"]["skipped"]}
    assert told["grade"]["band"] == "A"


def test_parquet_is_read_as_csv_is(shell: Shell) -> None:
    import duckdb

    put(shell.cwd / "a.csv", text(walk()))
    duckdb.sql(f"COPY (SELECT * FROM read_csv('{shell.cwd / 'a.csv'}')) TO '{shell.cwd / 'a.parquet'}' (FORMAT parquet)")
    put(shell.cwd / "case.json", json.dumps(META))
    one, two = (shell.good("validate", "--file", f"a.{kind}", "--json").json for kind in ("csv", "parquet"))
    assert one.pop("file") != two.pop("file")
    assert one == two


def test_what_export_writes_is_read_with_its_symbol_and_basis(stocked: Shell) -> None:
    said = stocked.good("export", "AAPL", "--csv")
    put(stocked.cwd / "bars.csv", said.out)
    told = stocked.good("validate", "--file", "bars.csv", "--json").json
    assert (told["symbol"], told["interval"], told["adjustment"], told["currency"]) == ("AAPL", "1d", "splits", "USD")
    assert (told["bars"], told["expected"], told["findings"]) == (21, 21, [])


def test_of_several_symbols_in_a_file_one_is_named(stocked: Shell) -> None:
    put(stocked.cwd / "bars.csv", stocked.good("export", "--csv").out)
    said = stocked.run("validate", "--file", "bars.csv")
    assert said.code == 2
    assert "AAPL, MSFT" in said.err
    assert stocked.good("validate", "MSFT", "--file", "bars.csv", "--json").json["bars"] == 21
